// Elements and what they show. What people wrote becomes text and nothing else: there is
// no markup from data anywhere on this page.

const $ = (id) => document.getElementById(id);

/** An element with attributes, listeners (`onclick`, …) and children. */
function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Tells those who listen rather than look. */
function say(text) {
  $('said').textContent = text;
}

function busy(node, text) {
  node.setAttribute('aria-busy', 'true');
  node.replaceChildren(h('p', { class: 'waiting' }, text));
}

function show(node, ...children) {
  node.removeAttribute('aria-busy');
  node.replaceChildren(...children);
}

/** `first_name` → `First name`. */
function label(name) {
  const known = { ip: 'IP address', url: 'Page', os: 'System', email: 'E-mail' };
  const text = name.replaceAll('_', ' ');
  return known[name] ?? text.charAt(0).toUpperCase() + text.slice(1);
}

const plural = (count, one, many = `${one}s`) => `${count.toLocaleString()} ${count === 1 ? one : many}`;

function bytes(size) {
  if (size < 1000) return plural(size, 'byte');
  const kilo = size / 1000;
  const digits = { maximumFractionDigits: 1 };
  return kilo < 1000 ? `${kilo.toLocaleString(undefined, digits)} kB` : `${(kilo / 1000).toLocaleString(undefined, digits)} MB`;
}

// Times: local unless asked otherwise, the other one in the title.

const zone = { utc: false };

function clockText(text, utc) {
  const options = { dateStyle: 'medium', timeStyle: 'medium', ...(utc ? { timeZone: 'UTC' } : {}) };
  return new Intl.DateTimeFormat(undefined, options).format(new Date(text)) + (utc ? ' UTC' : '');
}

function setTime(node) {
  const text = node.getAttribute('datetime');
  node.textContent = clockText(text, zone.utc);
  node.title = zone.utc ? `${clockText(text, false)} local time` : clockText(text, true);
}

/** A moment, or a dash where there is none. */
function when(text) {
  if (!text) return h('span', { class: 'none' }, '–');
  const node = h('time', { datetime: text });
  setTime(node);
  return node;
}

function showZone() {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  $('zone').textContent = zone.utc ? 'Times are in UTC.' : `Times are in your time zone (${name}). Hover over a time for UTC.`;
  $('utc').textContent = zone.utc ? 'Show local time' : 'Show UTC';
  $('utc').setAttribute('aria-pressed', String(zone.utc));
}

// Countdowns: one timer serves everything that carries `data-until`.

const DAY = 86_400_000;
const two = (number) => String(number).padStart(2, '0');

/** What is left, as days and hh:mm:ss. */
function left(until) {
  const seconds = Math.max(0, Math.floor((Date.parse(until) - now()) / 1000));
  const hours = Math.floor(seconds / 3600) % 24;
  return {
    over: seconds === 0,
    days: Math.floor(seconds / 86_400),
    clock: `${two(hours)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`,
  };
}

/** A small countdown for lists. */
function countdown(until) {
  if (!until) return h('span', { class: 'none' }, 'Expiry is paused');
  const node = h('span', { class: 'countdown', 'data-until': until });
  tickOne(node);
  return node;
}

function tickOne(node) {
  const { over, days, clock } = left(node.dataset.until);
  if (over) node.textContent = 'Time is up';
  else node.textContent = days > 0 ? `${days} d ${clock}` : clock;
}

/** A line for every day of the retention; those that are gone have faded. */
function daysOf(since, until) {
  const days = Math.min(31, Math.max(1, Math.round((Date.parse(until) - Date.parse(since)) / DAY)));
  const node = h('div', {
    class: 'days', role: 'progressbar', 'aria-label': 'Retention period used', 'aria-valuemin': 0, 'aria-valuemax': 100,
    'data-since': since, 'data-until-days': until,
  }, Array.from({ length: days }, () => h('i')));
  tickDays(node);
  return node;
}

function tickDays(node) {
  const [since, until] = [Date.parse(node.dataset.since), Date.parse(node.dataset.untilDays)];
  const used = Math.min(1, Math.max(0, (now() - since) / (until - since || 1)));
  const marks = [...node.children];
  marks.forEach((mark, at) => {
    const gone = Math.min(1, Math.max(0, used * marks.length - at));
    mark.style.setProperty('--gone', `${(gone * 100).toFixed(1)}%`);
  });
  node.setAttribute('aria-valuenow', String(Math.round(used * 100)));
  node.setAttribute('aria-valuetext', `${Math.floor(used * marks.length)} of ${plural(marks.length, 'day')} used`);
}

function tick() {
  document.querySelectorAll('.countdown').forEach(tickOne);
  document.querySelectorAll('.remaining').forEach(tickRemaining);
  document.querySelectorAll('.days').forEach(tickDays);
}
