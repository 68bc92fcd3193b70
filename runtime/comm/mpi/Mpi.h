// Communicators over MPI: Open MPI's library, opened at run time.
#pragma once

#include "runtime/comm/DataPlane.h"

namespace hadal::comm {

/// Opens libmpi.so.40, or the library that HADAL_LIBMPI names, and starts it as
/// |rank| of |ranks| processes, all of which mpirun (or srun) has started; once
/// a process, however often it is called. Ends it with the process, unless one
/// of its operations has failed. H6005 if it is missing, of another ABI, cannot
/// be used from several threads, or has other ranks; H6007.
StatusOr<std::unique_ptr<DataPlane>> openMpi(unsigned rank, unsigned ranks);

} // namespace hadal::comm
