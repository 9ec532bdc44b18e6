// Smooth weighted round robin, as the built-in policy byrequests does it.
//
// Each round every member that may serve is paid its weight; the richest one serves and
// pays back the sum of all payments, so the accounts always add up to 0.
//   weights a=2 b=1 | round 1: a+2 b+1 -> a serves (-1, 1)
//                   | round 2: a=1 b=2 -> b serves ( 1,-1)
//                   | round 3: a=3 b=0 -> a serves ( 0, 0)   schedule: a b a
//
// Arguments belong to the function that gets them, which frees them; what is returned is
// freed by the bindings.

#include <stdlib.h>
#include <string.h>

#include "balancer_policy.h"

typedef struct {
  balancer_policy_string_t id;
  int64_t balance;
} account_t;

// In the order of the last members-changed.
static account_t *accounts;
static size_t count;

// The pool's columns, pulled again when `state` says that they may have changed.
static bool is_known;
static uint64_t known;
static balancer_policy_list_u8_t usable;
static balancer_policy_list_u32_t weights;

// Out of memory is a trap; the gateway answers for this policy and starts it again.
static void *allocate(size_t length, size_t size) {
  void *memory = calloc(length > 0 ? length : 1, size);
  if (memory == NULL) abort();
  return memory;
}

// One instance for the whole pool, no triggers, no ticks.
bool exports_switchyard_policy_lifecycle_describe(
    balancer_policy_string_t *config, exports_switchyard_policy_lifecycle_descriptor_t *ret,
    exports_switchyard_policy_lifecycle_list_problem_t *err) {
  (void)err;
  balancer_policy_string_free(config);
  memset(ret, 0, sizeof *ret);
  ret->concurrency = EXPORTS_SWITCHYARD_POLICY_LIFECYCLE_CONCURRENCY_EXCLUSIVE;
  return true;
}

// A configuration that is refused is a list of problems, each with its place.
bool exports_switchyard_policy_lifecycle_init(
    balancer_policy_string_t *config, exports_switchyard_policy_lifecycle_context_t *context,
    exports_switchyard_policy_lifecycle_list_problem_t *err) {
  bool is_empty = config->len == 2 && memcmp(config->ptr, "{}", 2) == 0;
  balancer_policy_string_free(config);
  exports_switchyard_policy_lifecycle_context_free(context);
  if (is_empty) return true;
  err->len = 1;
  err->ptr = allocate(1, sizeof *err->ptr);
  balancer_policy_string_dup(&err->ptr[0].at, "");
  balancer_policy_string_dup(&err->ptr[0].message, "this policy takes no configuration");
  return false;
}

// Who stays keeps its account.
void exports_switchyard_policy_membership_members_changed(
    uint64_t revision, exports_switchyard_policy_membership_list_member_t *members) {
  (void)revision;
  account_t *next = allocate(members->len, sizeof *next);
  for (size_t at = 0; at < members->len; at++) {
    balancer_policy_string_t *id = &members->ptr[at].id;
    for (size_t old = 0; old < count; old++) {
      if (accounts[old].id.len == id->len && memcmp(accounts[old].id.ptr, id->ptr, id->len) == 0) {
        next[at].balance = accounts[old].balance;
      }
    }
    // Taken out of the list, which is freed below.
    next[at].id = *id;
    id->ptr = NULL;
    id->len = 0;
  }
  for (size_t old = 0; old < count; old++) balancer_policy_string_free(&accounts[old].id);
  free(accounts);
  accounts = next;
  count = members->len;
  is_known = false;
  exports_switchyard_policy_membership_list_member_free(members);
}

static void know(uint64_t state) {
  if (is_known && state == known) return;
  balancer_policy_list_u8_free(&usable);
  balancer_policy_list_u32_free(&weights);
  switchyard_policy_pool_usable(&usable);
  switchyard_policy_pool_weights(&weights);
  known = state;
  is_known = true;
}

static bool holds(const balancer_policy_list_u32_t *list, uint32_t index) {
  for (size_t at = 0; at < list->len; at++) {
    if (list->ptr[at] == index) return true;
  }
  return false;
}

void exports_switchyard_policy_balancer_pick(uint32_t attempt, uint64_t state,
                                             exports_switchyard_policy_balancer_verdict_t *ret) {
  know(state);
  balancer_policy_list_u32_t tried = {0};
  if (attempt > 0) switchyard_policy_request_tried(&tried);
  int64_t total = 0;
  account_t *best = NULL;
  for (size_t at = 0; at < count && at < usable.len && at < weights.len; at++) {
    if (usable.ptr[at] != 1 || holds(&tried, (uint32_t)at)) continue;
    total += weights.ptr[at];
    accounts[at].balance += weights.ptr[at];
    if (best == NULL || accounts[at].balance > best->balance) best = &accounts[at];
  }
  balancer_policy_list_u32_free(&tried);
  if (best == NULL) {
    ret->tag = EXPORTS_SWITCHYARD_POLICY_BALANCER_VERDICT_ABSTAIN;
    return;
  }
  best->balance -= total;
  ret->tag = EXPORTS_SWITCHYARD_POLICY_BALANCER_VERDICT_MEMBER;
  ret->val.member = (uint32_t)(best - accounts);
}
