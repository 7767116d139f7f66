// Erasing a person, and watching it happen.

function confirmErasure(subject, name) {
  const dialog = $('confirm');
  show($('confirm-who'), h('strong', { dir: 'auto' }, name), ' ', h('span', { class: 'id' }, subject));
  $('confirm-yes').onclick = () => {
    dialog.close();
    erase(subject);
  };
  dialog.showModal();
  $('confirm-no').focus();
}

async function erase(subject) {
  const button = $('person').querySelector('.end button');
  await attempt(button, $('end-fault'), async () => {
    const job = await call('DELETE', `v1/subjects/${subject}`);
    // The person is unreadable from here on: this page forgets them too.
    show($('person'));
    history.replaceState(null, '', `#/erasure/${job.id}`);
    route();
  });
}

const OVER = ['completed', 'failed', 'cancelled'];

/** Saves the signed receipt of an erasure as a file. */
function receiptOf(job) {
  const refused = h('div', { role: 'alert' });
  const button = h('button', { type: 'button', class: 'quiet' }, 'Save the receipt');
  button.addEventListener('click', () => attempt(button, refused, async () => {
    const receipt = await call('GET', `v1/erasures/${job.id}/receipt`);
    const url = URL.createObjectURL(new Blob([receipt], { type: 'application/jose' }));
    h('a', { href: url, download: `${job.id}.jws` }).click();
    URL.revokeObjectURL(url);
  }));
  return h('section', { 'aria-labelledby': 'receipt-title' },
    h('h2', { id: 'receipt-title' }, 'Receipt'),
    h('p', {}, 'A signed statement of what was done. Anyone can verify it with the service’s public keys.'),
    h('div', { class: 'row' }, button), refused);
}

/** Where an erasure stands. `progress` counts rows and files. */
function erasureView(job) {
  const over = OVER.includes(job.state);
  const unreadable = job.unreadable_at?.records;
  const done = job.state === 'completed';
  const deleted = done || job.state === 'verifying';
  const { done: so_far, total } = job.progress ?? { done: 0, total: 0 };
  const step = (state, title, text) => h('li', { class: state, 'aria-current': state === 'now' ? 'step' : undefined },
    h('strong', {}, title), ' ', text);
  return [
    back(),
    h('h1', { id: 'erasure-title', tabindex: -1 }, done ? 'Erased' : job.state === 'blocked' && !unreadable ? 'Not yet erased' : over ? `Erasure ${TOLD[job.state] ?? job.state}` : 'Forgetting'),
    unreadable && h('p', { class: 'lead' }, 'Unreadable since ', when(unreadable), '.'),
    h('ol', { class: 'plain steps' },
      step(unreadable ? 'done' : 'now', 'The data key is destroyed.', 'Nothing encrypted under it can be decrypted, in any copy.'),
      step(deleted ? 'done' : unreadable ? 'now' : 'later', 'Everything is deleted.', `${so_far.toLocaleString()} of ${plural(total, 'row and file', 'rows and files')}${deleted ? '.' : ' so far.'}`),
      step(done ? 'done' : job.state === 'verifying' ? 'now' : 'later', 'The deletion is being verified.',
        job.state === 'verifying' ? 'This starts when the last upload link has expired.' : done ? 'Nothing remains.' : 'This repeats until nothing remains.')),
    h('progress', { max: Math.max(total, 1), value: done ? Math.max(total, 1) : so_far, 'aria-label': 'Deleted' }),
    job.state === 'failed' && h('p', { class: 'fault' }, 'The deletion failed. The person remains unreadable, and the operator has been notified.'),
    job.state === 'blocked' && h('p', { class: 'fault mild' }, 'A hold blocks this erasure. It resumes automatically when the hold is lifted.'),
    job.state === 'partial' && h('p', { class: 'fault' }, `The deletion is incomplete in: ${(job.partial ?? []).join(', ')}. It is tried again each day.`),
    facts('Erasure', {
      job: job.id, asked_at: job.created_at, finished_at: job.finished_at ?? null, erased_at: job.erased_at ?? null,
      attachments_unreadable_at: job.unreadable_at?.attachments ?? null, backups_clear_at: job.backups_clear_by ?? null,
    }),
    done && receiptOf(job),
  ].filter(Boolean);
}

/** Follows a job until it is over, or until another view is shown. */
async function openErasure(id) {
  document.title = 'Erasure · Lethe';
  const place = $('erasure');
  let before = null;
  let pause = 700;
  busy(place, 'Loading the erasure…');
  while (!place.hidden && location.hash === `#/erasure/${id}`) {
    let job;
    try {
      job = await call('GET', `v1/erasures/${id}`);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.status === 401) return leave(error);
      // A service that is out of reach for a moment does not end the watch.
      if (before === null || ![0, 429, 503].includes(error.status)) {
        show(place, back(), h('h1', { id: 'erasure-title', tabindex: -1 }, 'Erasure'), fault(error));
        return undefined;
      }
      job = before;
    }
    const text = JSON.stringify(job);
    if (before === null || text !== JSON.stringify(before)) {
      const focused = place.contains(document.activeElement);
      show(place, ...erasureView(job));
      if (before === null || focused) $('erasure-title').focus();
      if (before?.state !== job.state) say(`Erasure: ${TOLD[job.state] ?? job.state}.`);
    }
    if (OVER.includes(job.state)) return undefined;
    before = job;
    await new Promise((resolve) => { setTimeout(resolve, pause); });
    pause = Math.min(5000, pause * 1.3);
  }
  return undefined;
}
