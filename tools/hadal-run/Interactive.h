// hadal-run -i: a conversation in a terminal; --input-file: one for each line.
#pragma once

#include <string>

#include "tools/hadal-run/Conversation.h"

namespace hadal {

/// Reads lines and commands, and writes answers, until the input ends (0) or
/// the person interrupts (H5016).
Status converse(Conversation &conversation, bool quiet);

/// Answers each line of |path|, each in a conversation of its own; prints
/// "Prompt: " and "Completion: " lines.
Status answerLines(Conversation &conversation, const std::string &path);

} // namespace hadal
