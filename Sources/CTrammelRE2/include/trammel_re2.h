// A C face over RE2, for expressions that come from users: matching is linear in the text and memory is bounded.
#ifndef TRAMMEL_RE2_H
#define TRAMMEL_RE2_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct trammel_re2 trammel_re2;

// Compiles `pattern`. On failure returns NULL and writes a NUL-terminated reason of at most `error_capacity` bytes.
// Free with trammel_re2_free.
trammel_re2 *trammel_re2_compile(const char *pattern, size_t length, char *error, size_t error_capacity);

void trammel_re2_free(trammel_re2 *expression);

// Whether the whole text matches (Envoy's and Istio's meaning of a regex match). Safe from several threads at once.
bool trammel_re2_full_match(const trammel_re2 *expression, const char *text, size_t length);

#ifdef __cplusplus
}
#endif

#endif
