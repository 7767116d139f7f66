// One person: what is kept, and how long it still will be.

const NAMED = ['name', 'username', 'user_id', 'visitor_id'];

function nameOf(person) {
  const identity = person.identity ?? {};
  const full = [identity.first_name, identity.last_name].filter(Boolean).join(' ');
  return identity.name ?? (full || NAMED.map((name) => identity[name]).find(Boolean)) ?? person.visitor_id ?? 'Unknown name';
}

/** One category as a list of terms, or that nothing is kept of it. */
function facts(title, values) {
  const rows = Object.entries(values ?? {}).filter(([, value]) => value !== null);
  const shown = (name, value) => (/(^|_)at$/.test(name) ? when(value) : typeof value === 'object' ? JSON.stringify(value) : String(value));
  return h('section', { class: 'facts' },
    h('h3', {}, title),
    rows.length === 0
      ? h('p', { class: 'none' }, 'Nothing kept')
      : h('dl', {}, rows.map(([name, value]) => h('div', {}, h('dt', {}, title === 'Custom' ? name : label(name)), h('dd', { dir: 'auto' }, shown(name, value))))));
}

function tickRemaining(node) {
  const { over, days, clock } = left(node.dataset.until);
  if (over && !node.classList.contains('over')) {
    node.classList.add('over');
    say('The retention period is over. This person has been erased.');
  }
  const [number, unit, rest] = node.children;
  const parts = over ? ['Erased', '', ''] : days === 0 ? [clock, '', ''] : [String(days), days === 1 ? 'day' : 'days', clock];
  [number.textContent, unit.textContent, rest.textContent] = parts;
}

/** The countdown, and the days of the retention as they fade. */
function clockOf(person) {
  if (!person.expires_at) {
    return h('section', { class: 'clock', 'aria-label': 'Time until expiry' },
      h('p', { class: 'still' }, 'Expiry is paused'),
      h('p', { class: 'note' }, person.hold ? 'A hold keeps this person from being forgotten until it is lifted.' : 'A restriction pauses expiry until it is lifted.'));
  }
  const remaining = h('p', { class: 'remaining', role: 'timer', 'data-until': person.expires_at },
    h('span', { class: 'number' }), ' ', h('span', { class: 'unit' }), ' ', h('span', { class: 'rest' }));
  tickRemaining(remaining);
  return h('section', { class: 'clock', 'aria-label': 'Time until expiry' },
    h('h2', { class: 'small' }, 'Forgotten in'),
    remaining,
    daysOf(person.last_seen, person.expires_at),
    h('dl', { class: 'ends' },
      h('div', {}, h('dt', {}, 'Last seen'), h('dd', {}, when(person.last_seen))),
      h('div', {}, h('dt', {}, 'Erased'), h('dd', {}, when(person.expires_at)))));
}

function notes(person) {
  const told = [
    person.hold && 'On hold: this person’s data cannot be erased or redacted.',
    person.restriction && 'Restricted (GDPR Art. 18): data is stored but not used.',
    person.objection && 'Objected (GDPR Art. 21): visits and interactions are no longer recorded.',
  ].filter(Boolean);
  return told.length > 0 && h('ul', { class: 'plain notes' }, told.map((text) => h('li', {}, text)));
}

const RULES = [
  ['restriction', 'Restrict', 'Lift the restriction'],
  ['objection', 'Record an objection', 'Withdraw the objection'],
  ['hold', 'Hold', 'Lift the hold'],
];

/** Puts a person under a rule, or lifts it. A hold says why, by a code. */
function rulesView(person) {
  const refused = h('div', { role: 'alert' });
  const reason = h('input', { type: 'text', id: 'hold-reason', pattern: '[A-Za-z0-9._-]{1,64}', autocomplete: 'off', value: 'legal_hold' });
  const change = (name) => async () => {
    const body = name === 'hold' && !person.hold ? { reason: reason.value.trim() } : undefined;
    await call(person[name] ? 'DELETE' : 'PUT', `v1/subjects/${person.subject}/${name}`, body);
    await openPerson(person.subject);
  };
  const buttons = RULES.map(([name, put, lift]) => {
    const button = h('button', { type: 'button', class: 'quiet' }, person[name] ? lift : put);
    button.addEventListener('click', () => attempt(button, refused, change(name)));
    return button;
  });
  return h('section', { 'aria-labelledby': 'rules-title' },
    h('h2', { id: 'rules-title' }, 'Rules'),
    !person.hold && h('p', {}, h('label', { for: 'hold-reason' }, 'Reason for the hold, as a code: '), reason),
    h('div', { class: 'row' }, buttons),
    refused);
}

const verified = (yes) => h('span', { class: yes ? 'tag sure' : 'tag', title: yes ? 'Your own server vouches for who this is.' : 'Sent by a web page and not verified by your server.' }, yes ? 'verified' : 'unverified');

function related(people) {
  return (people ?? []).length > 0 && h('section', { class: 'facts' }, h('h3', {}, 'Possibly the same person'),
    h('ul', { class: 'plain lines' }, people.map((each) => h('li', {}, personLink(each.subject), h('span', {}, `by ${label(each.via).toLowerCase()}`), verified(each.verified)))));
}

async function openPerson(subject) {
  document.title = 'Person · Lethe';
  const place = $('person');
  await fill(place, 'Loading the person…', async () => {
    let person;
    try {
      [person] = await Promise.all([call('GET', `v1/subjects/${subject}`), setClock()]);
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 404) throw error;
      return [back(), h('h1', { id: 'person-title', tabindex: -1 }, 'Nobody is here'),
        h('p', { class: 'lead' }, 'No person found. A person who was erased and one who never existed look the same.')];
    }
    return personView(person);
  });
  if (!place.hidden) $('person-title')?.focus();
}

const back = () => h('p', { class: 'back' }, h('a', { href: '#/' }, 'Find a person'));

function personView(person) {
  const { identity, contact, network, device, custom, consent, counts } = person;
  return [
    back(),
    h('div', { class: 'who' },
      h('h1', { id: 'person-title', tabindex: -1, dir: 'auto' }, nameOf(person)),
      h('p', { class: 'under' }, h('span', { class: 'id' }, person.subject), ' ', verified(person.verified), ' ', stateOf(person))),
    notes(person),
    clockOf(person),
    h('section', { 'aria-labelledby': 'kept-title' },
      h('h2', { id: 'kept-title' }, 'What is kept'),
      h('div', { class: 'grid' },
        facts('Identity', { visitor_id: person.visitor_id, ...identity }), facts('Contact', contact), facts('Network', network),
        facts('Device', device), facts('Custom', custom), facts('Consent', consent),
        (person.consent_withdrawn ?? []).map((each) => facts('Consent withdrawn', each)), related(person.related)),
      h('p', { class: 'note' }, 'Known since ', when(person.created_at), '.')),
    recordsView(person.subject, counts ?? {}),
    rulesView(person),
    h('section', { class: 'end', 'aria-labelledby': 'end-title' },
      h('h2', { id: 'end-title' }, 'Erase'),
      h('p', {}, 'All data about this person becomes unreadable at once and is then deleted.'),
      h('button', { type: 'button', class: 'danger', onclick: () => confirmErasure(person.subject, nameOf(person)) }, 'Erase this person…'),
      h('div', { id: 'end-fault', role: 'alert' })),
  ].filter(Boolean);
}
