// A brand for every page: answers say who served them, and old names on pages become new ones.
//
// Arguments belong to the function that gets them, which frees them; what is returned is
// freed by the bindings.

#include <stdlib.h>
#include <string.h>

#include "rewriter_policy.h"

// C has nothing to read JSON with, so these are no configuration.
#define OLD "Acme"
#define NEW "Apex"

// Out of memory is a trap; the gateway answers for this policy and starts it again.
static void *allocate(size_t length, size_t size) {
  void *memory = calloc(length > 0 ? length : 1, size);
  if (memory == NULL) abort();
  return memory;
}

// An instance for each worker, since nothing is remembered here. Only pages are worth a call:
// images pass untouched.
bool exports_switchyard_policy_lifecycle_describe(
    rewriter_policy_string_t *config, exports_switchyard_policy_lifecycle_descriptor_t *ret,
    exports_switchyard_policy_lifecycle_list_problem_t *err) {
  (void)err;
  rewriter_policy_string_free(config);
  memset(ret, 0, sizeof *ret);
  ret->concurrency = EXPORTS_SWITCHYARD_POLICY_LIFECYCLE_CONCURRENCY_REPLICATED;
  ret->triggers.len = 1;
  ret->triggers.ptr = allocate(1, sizeof *ret->triggers.ptr);
  ret->triggers.ptr[0].f0 = EXPORTS_SWITCHYARD_POLICY_LIFECYCLE_HOOK_ON_RESPONSE;
  ret->triggers.ptr[0].f1.tag = EXPORTS_SWITCHYARD_POLICY_LIFECYCLE_TRIGGER_CONTENT_TYPE;
  rewriter_policy_string_dup(&ret->triggers.ptr[0].f1.val.content_type, "text/html");
  return true;
}

// A configuration that is refused is a list of problems, each with its place.
bool exports_switchyard_policy_lifecycle_init(
    rewriter_policy_string_t *config, exports_switchyard_policy_lifecycle_context_t *context,
    exports_switchyard_policy_lifecycle_list_problem_t *err) {
  bool is_empty = config->len == 2 && memcmp(config->ptr, "{}", 2) == 0;
  rewriter_policy_string_free(config);
  exports_switchyard_policy_lifecycle_context_free(context);
  if (is_empty) return true;
  err->len = 1;
  err->ptr = allocate(1, sizeof *err->ptr);
  rewriter_policy_string_dup(&err->ptr[0].at, "");
  rewriter_policy_string_dup(&err->ptr[0].message, "this policy takes no configuration");
  return false;
}

static void copy(rewriter_policy_list_u8_t *to, const void *octets, size_t length) {
  to->len = length;
  to->ptr = allocate(length, 1);
  memcpy(to->ptr, octets, length);
}

// The one edit of a plan: leaves exactly one line of that name.
static void set(exports_switchyard_policy_rewriter_list_edit_t *edits, const char *name,
                const void *value, size_t length) {
  edits->len = 1;
  edits->ptr = allocate(1, sizeof *edits->ptr);
  edits->ptr[0].tag = SWITCHYARD_POLICY_TYPES_EDIT_SET;
  rewriter_policy_string_dup(&edits->ptr[0].val.set.f0, name);
  copy(&edits->ptr[0].val.set.f1, value, length);
}

// Path and authority, which are optional, stay as they are.
void exports_switchyard_policy_rewriter_on_request(
    exports_switchyard_policy_rewriter_request_plan_t *ret) {
  memset(ret, 0, sizeof *ret);
  set(&ret->headers, "x-brand", NEW, strlen(NEW));
}

// The gateway replaces the name while the page streams through.
void exports_switchyard_policy_rewriter_on_response(
    exports_switchyard_policy_rewriter_response_plan_t *ret) {
  memset(ret, 0, sizeof *ret);
  rewriter_policy_string_t route;
  switchyard_policy_response_member_route(&route);
  set(&ret->headers, "x-served-by", route.ptr, route.len);
  rewriter_policy_string_free(&route);

  ret->body.tag = EXPORTS_SWITCHYARD_POLICY_REWRITER_BODY_PLAN_SUBSTITUTE;
  exports_switchyard_policy_rewriter_list_substitution_t *list = &ret->body.val.substitute;
  list->len = 1;
  list->ptr = allocate(1, sizeof *list->ptr);
  copy(&list->ptr[0].from, OLD, strlen(OLD));
  copy(&list->ptr[0].to, NEW, strlen(NEW));
}
