// hadal-tune merge: two or more databases to one.
#pragma once

namespace hadal::tune {

/// Runs "merge A B... -o C"; |argv|[0] is the word merge. Returns the exit
/// code.
int runMergeMode(int argc, char **argv);

} // namespace hadal::tune
