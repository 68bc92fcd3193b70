// What the times of a machine depend on, as keys of a database say it.
#pragma once

#include <string>
#include <string_view>

namespace hadal::tune {

/// The chip of this machine's CPU where it runs the image |variant| with
/// |threads| threads: "v4+bf16+vbmi/6.143/L2=2048K/L3=33792K/t2", by family and
/// model and the sizes of the caches ("?" where the system does not say one).
/// |root| stands for / in tests.
std::string describeCpu(std::string_view variant, unsigned threads,
                        const std::string &root = "");

/// The image of such a text: "v4+bf16+vbmi".
std::string_view variantOf(std::string_view chip);

/// The conditions under which a tuner measures what hadal-compile looks up: as
/// it is deployed (by the pool of threads, in a captured graph), parameters not
/// in the cache, experts chosen unevenly.
inline constexpr std::string_view kPoolConditions = "pool,cold,skew0.7";
inline constexpr std::string_view kGraphConditions = "graph,cold,skew0.7";

} // namespace hadal::tune
