#include "trammel_re2.h"

#include <re2/re2.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

struct trammel_re2 {
    re2::RE2 expression;
    trammel_re2(const re2::StringPiece &pattern, const re2::RE2::Options &options) : expression(pattern, options) {}
};

extern "C" trammel_re2 *trammel_re2_compile(const char *pattern, size_t length, char *error, size_t error_capacity) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(1 << 20);
    auto compiled = std::make_unique<trammel_re2>(re2::StringPiece(pattern, length), options);
    if (compiled->expression.ok()) return compiled.release();
    if (error != nullptr && error_capacity > 0) {
        std::snprintf(error, error_capacity, "%s", compiled->expression.error().c_str());
    }
    return nullptr;
}

extern "C" void trammel_re2_free(trammel_re2 *expression) { delete expression; }

extern "C" bool trammel_re2_full_match(const trammel_re2 *expression, const char *text, size_t length) {
    return re2::RE2::FullMatch(re2::StringPiece(text, length), expression->expression);
}

extern "C" bool trammel_re2_check_substitution(const trammel_re2 *expression, const char *substitution, size_t length,
                                               char *error, size_t error_capacity) {
    std::string reason;
    if (expression->expression.CheckRewriteString(re2::StringPiece(substitution, length), &reason)) return true;
    if (error != nullptr && error_capacity > 0) std::snprintf(error, error_capacity, "%s", reason.c_str());
    return false;
}

extern "C" char *trammel_re2_replace_all(const trammel_re2 *expression, const char *text, size_t length,
                                         const char *substitution, size_t substitution_length, size_t *result_length) {
    std::string result(text, length);
    re2::RE2::GlobalReplace(&result, expression->expression, re2::StringPiece(substitution, substitution_length));
    // One byte more than need be, so that an empty result is no failure.
    char *copy = static_cast<char *>(std::malloc(result.size() + 1));
    if (copy == nullptr) return nullptr;
    std::memcpy(copy, result.data(), result.size());
    *result_length = result.size();
    return copy;
}
