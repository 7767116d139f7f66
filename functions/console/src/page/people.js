// The first view: find a person, see who goes next and who is being erased.

const BY = {
  visitor_id: { type: 'text', mode: 'text', note: 'Your own name for the person, exactly as you send it.' },
  user_id: { type: 'text', mode: 'text', note: 'The person’s account with you, exactly as you send it.' },
  email: { type: 'email', mode: 'email', note: 'Capital and small letters are the same here.' },
  phone: { type: 'tel', mode: 'tel', note: 'With the country’s code: +49 151 234567.' },
};

const chosen = () => document.querySelector('input[name=by]:checked').value;

function setBy() {
  const { type, mode, note } = BY[chosen()];
  const input = $('value');
  input.type = type;
  input.inputMode = mode;
  $('value-label').textContent = label(chosen());
  $('value-note').textContent = note;
}

const personLink = (subject) => h('a', { href: `#/${subject}`, class: 'id', title: subject }, `${subject.slice(0, 12)}…${subject.slice(-4)}`);

/** Anything about a person that is out of the ordinary. */
const stateOf = (person) => (person.state && person.state !== 'active' ? h('span', { class: 'tag' }, person.state) : null);

function personRow(person) {
  return h('tr', {},
    h('td', {}, personLink(person.subject), ' ', stateOf(person)),
    h('td', { 'data-label': 'Last seen' }, when(person.last_seen)),
    h('td', { 'data-label': 'Forgotten in' }, countdown(person.expires_at)));
}

function peopleTable(caption) {
  const body = h('tbody');
  h('table', {},
    h('caption', { class: 'unseen' }, caption),
    h('thead', {}, h('tr', {}, ['Person', 'Last seen', 'Forgotten in'].map((title) => h('th', { scope: 'col' }, title)))),
    body);
  return body;
}

async function find(event) {
  event.preventDefault();
  const [by, value] = [chosen(), $('value').value.trim()];
  if (value === '') return;
  show($('found'));
  await attempt(event.submitter ?? $('find').querySelector('button'), $('find-fault'), async () => {
    const { subjects } = await call('POST', 'v1/lookup', { [by]: value });
    if (subjects.length === 1) {
      location.hash = `#/${subjects[0].subject}`;
      return;
    }
    if (subjects.length === 0) {
      say('Nobody found.');
      show($('found'), h('p', { class: 'empty' }, 'Nobody is known by this. Either they never were, or they have been forgotten: the two look the same.'));
      return;
    }
    say(`${subjects.length} people found.`);
    const body = peopleTable('People found');
    body.append(...subjects.map(personRow));
    show($('found'), h('p', {}, `${subjects.length} people share this. Choose one:`), body.closest('table'));
  });
}

const TOLD = {
  queued: 'waits for its turn', running: 'deleting', verifying: 'looking once more', blocked: 'blocked by a hold',
  completed: 'completed', partial: 'partly done', failed: 'failed', cancelled: 'cancelled',
};

function erasureRow(job) {
  return h('li', {},
    h('a', { href: `#/erasure/${job.id}` }, when(job.created_at)),
    h('span', { class: `tag ${job.state}` }, TOLD[job.state] ?? job.state));
}

async function openHome() {
  document.title = 'Find a person · Lethe';
  setBy();
  await Promise.all([
    fill($('next'), 'Asking who goes next…', () => pages('v1/subjects', { limit: '10' }, {
      row: personRow, list: peopleTable('Who goes next'), none: 'You know nobody yet. Whoever is met will stand here, with the time that is left.',
    })),
    fill($('past'), 'Asking for erasures…', () => pages('v1/erasures', { limit: '8' }, {
      row: erasureRow, list: h('ul', { class: 'plain lines' }), none: 'Nobody has asked to be erased.',
    })),
  ]);
}
