// Sessions that stay with their member, by a cookie of the gateway's own.
//
// Whoever comes without one is sent anywhere; the answer gives a cookie that ends in the
// member's route, `ROUTEID=.worker1`. Where that member has died, the session goes to
// another one and gets its cookie.
//
// Arguments belong to the function that gets them, which frees them; what is returned is
// freed by the bindings.

#include <stdlib.h>
#include <string.h>

#include "affinity_policy.h"

#define COOKIE "ROUTEID"
#define ATTRIBUTES "; Path=/; HttpOnly; SameSite=Lax"

// Out of memory is a trap; the gateway answers for this policy and starts it again.
static void *allocate(size_t length, size_t size) {
  void *memory = calloc(length > 0 ? length : 1, size);
  if (memory == NULL) abort();
  return memory;
}

// An instance for each worker, since nothing is remembered here. Requests without the cookie
// need not be asked about; `bind` has no trigger, since any answer may begin a session.
bool exports_switchyard_policy_lifecycle_describe(
    affinity_policy_string_t *config, exports_switchyard_policy_lifecycle_descriptor_t *ret,
    exports_switchyard_policy_lifecycle_list_problem_t *err) {
  (void)err;
  affinity_policy_string_free(config);
  memset(ret, 0, sizeof *ret);
  ret->concurrency = EXPORTS_SWITCHYARD_POLICY_LIFECYCLE_CONCURRENCY_REPLICATED;
  ret->triggers.len = 1;
  ret->triggers.ptr = allocate(1, sizeof *ret->triggers.ptr);
  ret->triggers.ptr[0].f0 = EXPORTS_SWITCHYARD_POLICY_LIFECYCLE_HOOK_LOCATE;
  ret->triggers.ptr[0].f1.tag = EXPORTS_SWITCHYARD_POLICY_LIFECYCLE_TRIGGER_COOKIE;
  affinity_policy_string_dup(&ret->triggers.ptr[0].f1.val.cookie, COOKIE);
  return true;
}

// A configuration that is refused is a list of problems, each with its place.
bool exports_switchyard_policy_lifecycle_init(
    affinity_policy_string_t *config, exports_switchyard_policy_lifecycle_context_t *context,
    exports_switchyard_policy_lifecycle_list_problem_t *err) {
  bool is_empty = config->len == 2 && memcmp(config->ptr, "{}", 2) == 0;
  affinity_policy_string_free(config);
  exports_switchyard_policy_lifecycle_context_free(context);
  if (is_empty) return true;
  err->len = 1;
  err->ptr = allocate(1, sizeof *err->ptr);
  affinity_policy_string_dup(&err->ptr[0].at, "");
  affinity_policy_string_dup(&err->ptr[0].message, "this policy takes no configuration");
  return false;
}

// The cookie's value; false where the request has none.
static bool held(affinity_policy_list_u8_t *value) {
  affinity_policy_string_t name;
  affinity_policy_string_set(&name, COOKIE);
  return switchyard_policy_request_cookie(&name, value);
}

static bool is_ascii(const uint8_t *octets, size_t count) {
  for (size_t at = 0; at < count; at++) {
    if (octets[at] > 0x7f) return false;
  }
  return true;
}

// What stands behind the first dot is the route; the gateway finds the member, and asks the
// balancer where there is none. `strict` would refuse the request instead.
bool exports_switchyard_policy_affinity_locate(exports_switchyard_policy_affinity_hold_t *ret) {
  affinity_policy_list_u8_t value;
  if (!held(&value)) return false;
  const uint8_t *dot = memchr(value.ptr, '.', value.len);
  size_t length = dot == NULL ? 0 : (size_t)(value.ptr + value.len - (dot + 1));
  // A client may send any octets, and a string has to be UTF-8.
  bool is_found = length > 0 && is_ascii(dot + 1, length);
  if (is_found) {
    ret->strict = false;
    ret->pin.tag = EXPORTS_SWITCHYARD_POLICY_AFFINITY_PIN_ROUTE;
    affinity_policy_string_dup_n(&ret->pin.val.route, (const char *)dot + 1, length);
  }
  affinity_policy_list_u8_free(&value);
  return is_found;
}

// Whether the client has the cookie of this route already.
static bool is_held(const affinity_policy_string_t *route) {
  affinity_policy_list_u8_t value;
  if (!held(&value)) return false;
  bool is_same = value.len == route->len + 1 && value.ptr[0] == '.' &&
                 memcmp(value.ptr + 1, route->ptr, route->len) == 0;
  affinity_policy_list_u8_free(&value);
  return is_same;
}

// A client that holds the right cookie is sent none.
void exports_switchyard_policy_affinity_bind(
    exports_switchyard_policy_affinity_list_edit_t *ret) {
  memset(ret, 0, sizeof *ret);
  affinity_policy_string_t route;
  switchyard_policy_response_member_route(&route);
  if (route.len > 0 && !is_held(&route)) {
    ret->len = 1;
    ret->ptr = allocate(1, sizeof *ret->ptr);
    ret->ptr[0].tag = SWITCHYARD_POLICY_TYPES_EDIT_APPEND;
    affinity_policy_tuple2_string_list_u8_t *field = &ret->ptr[0].val.append;
    affinity_policy_string_dup(&field->f0, "set-cookie");
    const size_t before = strlen(COOKIE "=.");
    field->f1.len = before + route.len + strlen(ATTRIBUTES);
    field->f1.ptr = allocate(field->f1.len, 1);
    memcpy(field->f1.ptr, COOKIE "=.", before);
    memcpy(field->f1.ptr + before, route.ptr, route.len);
    memcpy(field->f1.ptr + before + route.len, ATTRIBUTES, strlen(ATTRIBUTES));
  }
  affinity_policy_string_free(&route);
}
