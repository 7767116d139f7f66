// Which view is shown. The address names a subject or a job, never anything personal.

const VIEWS = ['door', 'home', 'person', 'erasure'];

function view(name) {
  VIEWS.forEach((each) => { $(each).hidden = each !== name; });
  // What was shown of a person does not stay behind in another view.
  ['person', 'erasure', 'found', 'find-fault'].filter((each) => each !== name).forEach((each) => show($(each)));
  $('leave').hidden = name === 'door';
  window.scrollTo(0, 0);
}

function route() {
  if (!session.key) return openDoor();
  const [, subject] = location.hash.match(/^#\/(sub_[0-9a-f]{32})$/) ?? [];
  const [, job] = location.hash.match(/^#\/erasure\/(job_[0-9a-f]{32})$/) ?? [];
  if (subject) {
    view('person');
    return openPerson(subject);
  }
  if (job) {
    view('erasure');
    return openErasure(job);
  }
  view('home');
  $('home-title').focus();
  return openHome();
}

function openDoor(error) {
  document.title = 'Sign in · Lethe';
  view('door');
  show($('door-fault'), ...(error ? [fault(error)] : []));
  $('key').focus();
}

/** Signs out, and says why where it was not asked for. */
function leave(error) {
  sessionStorage.removeItem(KEPT);
  session.key = null;
  $('find').reset();
  openDoor(error instanceof Refusal ? error : undefined);
}

async function signIn(event) {
  event.preventDefault();
  session.key = $('key').value.trim();
  let entered = false;
  await attempt(event.submitter ?? $('sign-in').querySelector('button'), $('door-fault'), async () => {
    try {
      await Promise.all([setClock(), listed('v1/subjects', { limit: '1' })]);
      entered = true;
    } finally {
      if (!entered) session.key = null;
    }
  });
  if (!entered) return;
  sessionStorage.setItem(KEPT, session.key);
  $('key').value = '';
  route();
}

$('sign-in').addEventListener('submit', signIn);
$('leave').addEventListener('click', () => leave());
$('find').addEventListener('submit', find);
$('find').addEventListener('change', setBy);
$('confirm-no').addEventListener('click', () => $('confirm').close());
$('confirm').addEventListener('close', () => show($('confirm-who')));
$('utc').addEventListener('click', () => {
  zone.utc = !zone.utc;
  document.querySelectorAll('time').forEach(setTime);
  showZone();
});
window.addEventListener('hashchange', route);

showZone();
setInterval(tick, 1000);
// A machine that slept, or a service whose clock was moved, is noticed within a minute.
setInterval(() => { if (session.key && !document.hidden) setClock().catch(() => {}); }, 60_000);
if (session.key) setClock().catch(() => {}).then(route);
else route();
