// The service, as this page talks to it. The key is held here, in this tab, and goes
// nowhere but into the `Authorization` header.

const KEPT = 'lethe-key';
const session = { key: sessionStorage.getItem(KEPT), ahead: 0 };

/** The service's time: its clock, not this machine's, says when somebody is forgotten. */
const now = () => Date.now() + session.ahead;

/** The service said no. `problem` is an RFC 9457 document, or what stands in for one. */
class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title);
    this.status = status;
    this.problem = problem;
  }
}

async function call(method, path, body) {
  const headers = { accept: 'application/json' };
  if (session.key) headers.authorization = `Bearer ${session.key}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  let response;
  let text;
  try {
    response = await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body),
      cache: 'no-store', credentials: 'omit', redirect: 'error', referrerPolicy: 'no-referrer',
    });
    text = await response.text();
  } catch {
    throw new Refusal(0, { title: 'No answer', detail: 'The service cannot be reached. Check the connection, then try again.' });
  }
  // A receipt is no JSON: it is shown to nobody here, but saved as it is.
  if (response.ok && response.headers.get('content-type') === 'application/jose') return text;
  let answer = null;
  try {
    answer = text === '' ? null : JSON.parse(text);
  } catch {
    throw new Refusal(response.status, { title: 'Unreadable response', detail: `Status ${response.status}.` });
  }
  if (response.ok) return answer;
  // API Gateway's own refusals have a `message` and nothing else.
  throw new Refusal(response.status, answer?.title ? answer : { title: answer?.message ?? `Status ${response.status}` });
}

const listed = (path, query) => {
  const given = Object.entries(query).filter(([, value]) => value);
  return call('GET', given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`);
};

/** Learns how far the service's clock is from this machine's. */
async function setClock() {
  const asked = Date.now();
  const { time } = await call('GET', 'v1/health');
  if (time) session.ahead = Date.parse(time) - (asked + Date.now()) / 2;
}

/** What went wrong, for people. */
function fault(error) {
  if (!(error instanceof Refusal)) throw error;
  const { problem, status } = error;
  const told = {
    401: 'This API key is not valid. It may have been revoked, or a part of it is missing.',
    403: `${problem.detail ?? 'This key does not have the required scope.'} Sign in with a key that has this scope, or ask whoever administers your keys.`,
  };
  return h('div', { class: status === 403 ? 'fault mild' : 'fault' },
    h('p', {}, h('strong', {}, problem.title ?? 'Refused'), ' ', told[status] ?? problem.detail ?? ''),
    (problem.errors ?? []).length > 0 && h('ul', {}, problem.errors.map((each) =>
      h('li', {}, h('code', {}, each.pointer || 'body'), ` ${each.message}`))),
    problem.request_id && h('p', { class: 'note' }, 'Request ', h('code', {}, problem.request_id)));
}

/** Runs what a button starts; the button rests meanwhile, and a refusal is shown. */
async function attempt(button, place, work) {
  show(place);
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    if (error instanceof Refusal && error.status === 401 && session.key) return leave(error);
    show(place, fault(error));
  } finally {
    button.disabled = false;
  }
  return undefined;
}

/** Fills a place with what is asked for, or with why not. */
async function fill(place, waiting, work) {
  busy(place, waiting);
  try {
    show(place, ...[await work()].flat());
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) leave(error);
    else show(place, fault(error));
  }
}

/** A list that grows by a page at a time. `row` makes an element of each entry. */
async function pages(path, query, { row, list, none, more = 'Show more' }) {
  const button = h('button', { type: 'button', class: 'quiet more' }, more);
  const refused = h('div', { role: 'alert' });
  let cursor = null;
  const load = async () => {
    const page = await listed(path, { ...query, cursor });
    const rows = page.data.map(row);
    list.append(...rows);
    cursor = page.next_cursor;
    button.hidden = !cursor;
    return rows;
  };
  button.addEventListener('click', () => attempt(button, refused, async () => {
    const rows = await load();
    say(`${plural(rows.length, 'more entry', 'more entries')}.`);
    rows[0]?.querySelector('a, summary, button')?.focus();
  }));
  await load();
  return list.childElementCount === 0 && !cursor ? [h('p', { class: 'empty' }, none)] : [list, refused, button];
}
