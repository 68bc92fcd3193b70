// Which sanitizer this build runs under; for the few tests that measure what one
// changes. clang alone (CMakePresets.json).
#pragma once

#define HADAL_ASAN __has_feature(address_sanitizer)
#define HADAL_TSAN __has_feature(thread_sanitizer)
