// A brand for every page: answers say who served them, and old names on pages become new ones.
//
//     config = { old = "Acme", new = "Apex" }

import { memberRoute } from 'switchyard:policy/response@0.1.0';

// UTF-8, which encodeURIComponent writes as %xx: QuickJS has no TextEncoder.
const octets = (text) =>
  Uint8Array.from(unescape(encodeURIComponent(text)), (letter) => letter.charCodeAt(0));

// The name that pages hold, and the one that clients see in its place.
let before;
let after;

// What is wrong with a configuration, each problem with its place.
function problems(config) {
  const wrong = [];
  for (const key of new Set(['old', 'new', ...Object.keys(config)])) {
    const at = `/${key}`;
    if (key !== 'old' && key !== 'new') wrong.push({ at, message: 'there is no such key' });
    else if (typeof config[key] !== 'string') wrong.push({ at, message: 'a text is due' });
  }
  if (config.old === '') wrong.push({ at: '/old', message: 'a name is due' });
  return wrong;
}

export const lifecycle = {
  // An instance for each worker, since nothing changes here. Only pages are worth a call:
  // images pass untouched.
  describe(config) {
    const trigger = { tag: 'content-type', val: 'text/html' };
    return { concurrency: 'replicated', triggers: [['on-response', trigger]], tickMs: 0 };
  },
  init(config, context) {
    const given = JSON.parse(config);
    const wrong = problems(given);
    if (wrong.length > 0) throw wrong;
    before = octets(given.old);
    after = octets(given.new);
  },
};

export const rewriter = {
  // Path and authority stay as they are.
  onRequest() {
    const headers = [{ tag: 'set', val: ['x-brand', after] }];
    return { path: undefined, authority: undefined, headers };
  },
  // The gateway replaces the name while the page streams through.
  onResponse() {
    const substitution = { from: before, to: after };
    return {
      status: undefined,
      headers: [{ tag: 'set', val: ['x-served-by', octets(memberRoute())] }],
      body: { tag: 'substitute', val: [substitution] },
    };
  },
};
