// The secret of a job: 32 bytes that all its ranks know and nobody else.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/Status.h"
#include "runtime/comm/control/Records.h"

namespace hadal::comm {

using Token = Digest256;

/// 64 hexadecimal digits; H5011. The text itself is in no message.
StatusOr<Token> parseToken(std::string_view hex);

/// 32 bytes of the system's random numbers.
StatusOr<Nonce> randomNonce();

enum class Side : uint8_t { hub = 'h', spoke = 's' };

/// What |side| proves to the other: that it knows |token|, in this
/// conversation, as |rank| of |ranks|, with |identity| for its sender.
Digest256 prove(Side side, const Token &token, const Nonce &hubNonce,
                const Nonce &spokeNonce, uint32_t rank, uint32_t ranks,
                const Identity &identity);

} // namespace hadal::comm
