// Faults that tests plant: nothing in builds without tests.
#pragma once

#include <string_view>

namespace hadal::comm {

/// Does to this process, rank |rank|, what HADAL_FAULT asks for |place|, if it
/// does: "rank=2,at=dispatch:17,do=kill". A place is "join", "agreement" or
/// "end", a label that is reported, or that of a collective, whose "dispatch,
/// layer 17" is asked for as dispatch:17; |times=3| waits for the third time.
/// do: kill (SIGKILL), stop (SIGSTOP), spin (for ever), exit (status 3). The
/// file that HADAL_FAULT_MARK names is made first.
#ifdef HADAL_PLANT_FAULTS
void reachPlace(unsigned rank, std::string_view place) noexcept;
#else
inline void reachPlace(unsigned, std::string_view) noexcept {}
#endif

} // namespace hadal::comm
