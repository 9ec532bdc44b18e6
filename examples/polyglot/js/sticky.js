// Sessions that stay with their member, by a cookie of the gateway's own.
//
// Whoever comes without one is sent anywhere; the answer gives a cookie that ends in the
// member's route, `ROUTEID=.worker1`. Where that member has died, the session goes to
// another one and gets its cookie.

import { cookie } from 'switchyard:policy/request@0.1.0';
import { memberRoute } from 'switchyard:policy/response@0.1.0';

const COOKIE = 'ROUTEID';

// Octets are decoded and encoded one to one; a route is ASCII, anything else belongs to nobody.
const text = (octets) => String.fromCharCode(...octets);
const octets = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

export const lifecycle = {
  // An instance for each worker, since nothing is remembered here. Requests without the cookie
  // need not be asked about; `bind` has no trigger, since any answer may begin a session.
  describe(config) {
    const trigger = { tag: 'cookie', val: COOKIE };
    return { concurrency: 'replicated', triggers: [['locate', trigger]], tickMs: 0 };
  },
  // A configuration that is refused is thrown as a list of problems, each with its place.
  init(config, context) {
    const keys = Object.keys(JSON.parse(config));
    if (keys.length > 0) {
      throw keys.map((key) => ({ at: `/${key}`, message: 'this policy takes no configuration' }));
    }
  },
};

export const affinity = {
  // What stands behind the first dot is the route; the gateway finds the member, and asks the
  // balancer where there is none. `strict` would refuse the request instead.
  locate() {
    const value = text(cookie(COOKIE) ?? []);
    const dot = value.indexOf('.');
    if (dot < 0 || dot + 1 === value.length) return undefined;
    return { pin: { tag: 'route', val: value.slice(dot + 1) }, strict: false };
  },
  // A client that holds the right cookie is sent none.
  bind() {
    const route = memberRoute();
    const held = cookie(COOKIE);
    if (route === '' || (held && text(held) === `.${route}`)) return [];
    const line = `${COOKIE}=.${route}; Path=/; HttpOnly; SameSite=Lax`;
    return [{ tag: 'append', val: ['set-cookie', octets(line)] }];
  },
};
