// The first view: find a person, see who goes next and who is being erased.

const BY = {
  visitor_id: { type: 'text', mode: 'text', note: 'Your ID for the person, exactly as you send it.' },
  user_id: { type: 'text', mode: 'text', note: 'The person’s account ID, exactly as you send it.' },
  email: { type: 'email', mode: 'email', note: 'Not case-sensitive.' },
  phone: { type: 'tel', mode: 'tel', note: 'With the country code: +49 151 234567.' },
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
      show($('found'), h('p', { class: 'empty' }, 'No person found. A person who was erased and one who never existed look the same.'));
      return;
    }
    say(`${subjects.length} people found.`);
    const body = peopleTable('People found');
    body.append(...subjects.map(personRow));
    show($('found'), h('p', {}, `${subjects.length} people match. Choose one:`), body.closest('table'));
  });
}

const TOLD = {
  queued: 'queued', running: 'deleting', verifying: 'verifying', blocked: 'blocked by a hold',
  completed: 'completed', partial: 'partly done', failed: 'failed', cancelled: 'cancelled',
};

function erasureRow(job) {
  return h('li', {},
    h('a', { href: `#/erasure/${job.id}` }, when(job.created_at)),
    h('span', { class: `tag ${job.state}` }, TOLD[job.state] ?? job.state));
}

// The list of people comes in parts, each in the order of forgetting but one part after
// the other. So ever longer spans of time are asked for, until one holds enough to show,
// and it is put in order here.
const SPANS = [[1, 'the next day'], [3, 'three days'], [10, 'ten days'], [null, null]];
const AHEAD = { shown: 10, pages: 5 };

/** Those who go within a number of days, or all, as far as a few pages reach. */
async function going(days) {
  const expires_before = days && new Date(now() + days * DAY).toISOString();
  const people = [];
  let cursor = null;
  for (let page = 0; page < AHEAD.pages && (page === 0 || cursor); page += 1) {
    const answer = await listed('v1/subjects', { limit: '100', expires_before, cursor });
    people.push(...answer.data);
    cursor = answer.next_cursor;
  }
  const end = (person) => (person.expires_at ? Date.parse(person.expires_at) : Infinity);
  return { people: people.sort((one, other) => end(one) - end(other)), more: Boolean(cursor) };
}

async function nextToGo() {
  for (const [days, named] of SPANS) {
    const { people, more } = await going(days);
    if (days !== null && people.length < AHEAD.shown) continue;
    const whom = more ? `First ${people.length} people` : days ? `People who expire within ${named}` : 'All people';
    $('next-note').textContent = `${whom}, soonest expiry first.`;
    return nextTable(people);
  }
  return [];
}

function nextTable(people) {
  if (people.length === 0) return h('p', { class: 'empty' }, 'No people yet. They appear here after their first event, with the time until they expire.');
  const body = peopleTable('Expiring next');
  const button = h('button', { type: 'button', class: 'quiet more' }, 'Show more');
  const add = () => {
    const rows = people.splice(0, AHEAD.shown).map(personRow);
    body.append(...rows);
    button.hidden = people.length === 0;
    return rows;
  };
  button.addEventListener('click', () => {
    const rows = add();
    say(`${plural(rows.length, 'more entry', 'more entries')}.`);
    rows[0].querySelector('a').focus();
  });
  add();
  return [body.closest('table'), button];
}

async function openHome() {
  document.title = 'Find a person · Lethe';
  setBy();
  await Promise.all([
    fill($('next'), 'Loading people…', nextToGo),
    fill($('past'), 'Loading erasures…', () => pages('v1/erasures', { limit: '8' }, {
      row: erasureRow, list: h('ul', { class: 'plain lines' }), none: 'No erasures yet.',
    })),
  ]);
}
