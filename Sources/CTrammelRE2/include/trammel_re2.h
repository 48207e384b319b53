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

// Whether `substitution` (`\1` to `\9` for what the groups caught, `\0` for all, `\\` for a backslash) names no group that
// the expression lacks; if not, writes a NUL-terminated reason of at most `error_capacity` bytes.
bool trammel_re2_check_substitution(const trammel_re2 *expression, const char *substitution, size_t length, char *error,
                                    size_t error_capacity);

// The text with every match that overlaps no earlier one replaced, as Envoy's regex_rewrite does. The caller frees it with
// free(); NULL where memory is out.
char *trammel_re2_replace_all(const trammel_re2 *expression, const char *text, size_t length, const char *substitution,
                              size_t substitution_length, size_t *result_length);

#ifdef __cplusplus
}
#endif

#endif
