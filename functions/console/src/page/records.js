// A person's records, a page at a time.

const TYPES = {
  conversation: { title: 'Conversations', none: 'No conversations.', row: conversation },
  message: { title: 'Messages', none: 'No messages.', row: message },
  attachment: { title: 'Attachments', none: 'No files.', row: attachment },
  interaction: { title: 'Interactions', none: 'No interactions.', row: interaction },
};

function recordsView(subject, counts) {
  const place = h('div', { id: 'records' });
  const tabs = Object.entries(TYPES).map(([type, { title }]) => h('button', { type: 'button', 'data-type': type, 'aria-pressed': 'false', 'aria-controls': 'records' },
    title, ' ', h('span', { class: 'count' }, (counts[`${type}s`] ?? 0).toLocaleString())));
  const open = (chosenTab) => {
    const { type } = chosenTab.dataset;
    tabs.forEach((tab) => tab.setAttribute('aria-pressed', String(tab === chosenTab)));
    const list = h('ul', { class: `plain records ${type}s` });
    return fill(place, 'Loading records…', () => pages(`v1/subjects/${subject}/records`, { type, limit: '20' }, {
      row: (record) => TYPES[type].row(record, subject), list, none: TYPES[type].none,
    }));
  };
  tabs.forEach((tab) => tab.addEventListener('click', () => open(tab)));
  // What there is most reason to read comes first; an empty tab only where all are.
  open(tabs.find((tab) => counts[`${tab.dataset.type}s`] > 0) ?? tabs[0]);
  return h('section', { 'aria-labelledby': 'records-title' },
    h('h2', { id: 'records-title' }, 'Records'),
    h('div', { class: 'tabs', role: 'group', 'aria-label': 'Record type' }, tabs), place);
}

function conversation(record, subject) {
  const inside = h('div', { class: 'inside' });
  const details = h('details', {},
    h('summary', {},
      h('span', { class: 'title', dir: 'auto' }, record.title ?? 'Without a title'),
      h('span', { class: 'meta' }, when(record.at), ' · ', plural(record.messages ?? 0, 'message'))),
    h('p', { class: 'note' }, 'Conversation ', h('span', { class: 'id' }, record.conversation_id)),
    inside);
  details.addEventListener('toggle', () => fill(inside, 'Asking for messages…', () => pages(`v1/subjects/${subject}/records`,
    { type: 'message', conversation: record.conversation_id, limit: '20' },
    { row: (each) => message(each, subject), list: h('ul', { class: 'plain records' }), none: 'No messages.', more: 'Show more messages' })), { once: true });
  return h('li', {}, details);
}

function message(record) {
  const agent = record.author === 'agent';
  const files = (record.attachments ?? []).length;
  return h('li', { class: agent ? 'said agent' : 'said' },
    h('p', { class: 'meta' }, h('strong', {}, agent ? 'Agent' : 'Person'), record.member && [' ', h('span', { class: 'id' }, record.member)], ' · ', when(record.at)),
    record.redacted && record.body === undefined
      ? h('p', { class: 'none' }, 'Redacted')
      : h('p', { class: 'body', dir: 'auto' }, record.body ?? ''),
    files > 0 && h('p', { class: 'note' }, `With ${plural(files, 'attachment')}`));
}

const FILE = {
  awaiting_upload: 'not uploaded yet', scanning: 'being scanned', clean: 'clean', rejected: 'rejected', redacted: 'redacted',
};

function attachment(record, subject) {
  const refused = h('div', { role: 'alert' });
  const place = h('span', { class: 'act' });
  const ask = h('button', { type: 'button', class: 'quiet' }, 'Get a link', h('span', { class: 'unseen' }, ` to ${record.filename}`));
  ask.addEventListener('click', () => attempt(ask, refused, async () => {
    const { download } = await call('GET', `v1/subjects/${subject}/attachments/${record.attachment}`);
    if (!download || !/^https?:/.test(download.url)) {
      place.replaceChildren(h('span', { class: 'note' }, 'There is no file to download.'));
      return;
    }
    const link = h('a', { href: download.url, target: '_blank', rel: 'noopener noreferrer' }, 'Open');
    place.replaceChildren(link, ' within ', countdown(download.expires_at));
    link.focus();
    setTimeout(() => place.isConnected && place.replaceChildren(ask), Math.max(0, Date.parse(download.expires_at) - now()));
  }));
  if (record.state === 'clean') place.append(ask);
  const reasons = record.verdict?.reasons ?? [];
  return h('li', { class: 'file' },
    h('div', {},
      h('p', { class: 'title', dir: 'auto' }, record.filename ?? 'A file whose name is redacted'),
      h('p', { class: 'meta' }, [record.content_type, bytes(record.size ?? 0)].filter(Boolean).join(' · '), ' · ', when(record.at)),
      reasons.length > 0 && h('p', { class: 'note' }, `Why: ${reasons.map((reason) => reason.replaceAll('_', ' ')).join(', ')}`)),
    h('div', { class: 'side' }, h('span', { class: `tag ${record.state}` }, FILE[record.state] ?? record.state), place),
    refused);
}

function interaction(record) {
  const counts = ['loaded', 'viewed', 'clicked'].map((name) => `${name} ${(record[name] ?? 0).toLocaleString()}`);
  return h('li', { class: 'used' },
    h('p', { class: 'title' }, record.item_id, record.scope && h('span', { class: 'note' }, ` in ${record.scope}`)),
    h('p', { class: 'meta' }, counts.join(' · ')),
    h('p', { class: 'meta' }, when(record.first_at), ' to ', when(record.last_at)));
}
