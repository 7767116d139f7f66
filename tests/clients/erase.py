"""Finds a person with the generated client and erases them. Runs beside the folder `lethe`,
in the environment of the generator, which has the libraries that its clients use."""

import os
import sys

sys.path.insert(0, os.getcwd())
from lethe import AuthenticatedClient
from lethe.api.access import find_people, get_person, list_people
from lethe.api.erase import erase_person, get_erasure
from lethe.models import Lookup

url, key = sys.argv[1:]
api = AuthenticatedClient(base_url=url, token=key)

somebody = list_people.sync(client=api, limit=1).data[0].subject
profile = get_person.sync(somebody, client=api)
found = find_people.sync(client=api, body=Lookup(visitor_id=profile.visitor_id))
assert [it.subject for it in found.subjects] == [somebody], found

job = erase_person.sync(somebody, client=api)
assert get_person.sync_detailed(somebody, client=api).status_code == 404
again = get_erasure.sync(job.id, client=api)
assert again.id == job.id and again.state.value in ("queued", "running", "completed"), again
assert not find_people.sync(client=api, body=Lookup(visitor_id=profile.visitor_id)).subjects
print("openapi-python-client: found a person and erased them")
