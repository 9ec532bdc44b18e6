// Smooth weighted round robin, as the built-in policy byrequests does it.
//
// Each round every member that may serve is paid its weight; the richest one serves and
// pays back the sum of all payments, so the accounts always add up to 0.
//   weights a=2 b=1 | round 1: a+2 b+1 -> a serves (-1, 1)
//                   | round 2: a=1 b=2 -> b serves ( 1,-1)
//                   | round 3: a=3 b=0 -> a serves ( 0, 0)   schedule: a b a

import { usable, weights } from 'switchyard:policy/pool@0.1.0';
import { tried } from 'switchyard:policy/request@0.1.0';

// One account for each member, in the order of the last members-changed.
let accounts = [];
let ids = [];
// The pool's columns, pulled again when `state` says that they may have changed.
let known;
let mayServe = [];
let pay = [];

export const lifecycle = {
  // What this policy needs: one instance for the whole pool, no triggers, no ticks.
  describe(config) {
    return { concurrency: 'exclusive', triggers: [], tickMs: 0 };
  },
  // A configuration that is refused is thrown as a list of problems, each with its place.
  init(config, context) {
    const keys = Object.keys(JSON.parse(config));
    if (keys.length > 0) {
      throw keys.map((key) => ({ at: `/${key}`, message: 'this policy takes no configuration' }));
    }
  },
};

export const membership = {
  // Who stays keeps its account.
  membersChanged(revision, members) {
    const before = new Map(ids.map((id, at) => [id, accounts[at]]));
    ids = members.map((member) => member.id);
    accounts = ids.map((id) => before.get(id) ?? 0);
    known = undefined;
  },
};

export const balancer = {
  pick(attempt, state) {
    if (state !== known) {
      mayServe = usable();
      pay = weights();
      known = state;
    }
    const before = attempt > 0 ? tried() : [];
    let total = 0;
    let best = -1;
    for (let at = 0; at < accounts.length; at++) {
      if (mayServe[at] !== 1 || before.includes(at)) continue;
      total += pay[at];
      accounts[at] += pay[at];
      if (best < 0 || accounts[at] > accounts[best]) best = at;
    }
    if (best < 0) return { tag: 'abstain' };
    accounts[best] -= total;
    return { tag: 'member', val: best };
  },
};
