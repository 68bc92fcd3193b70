// The meaning of what only an sm_90a artifact has: code, blocks, tensor maps,
// upload steps. Part of verifyMeaning. Every function returns what is wrong,
// or "" if nothing is.
#pragma once

#include <string>

#include "runtime/schemas/artifact_generated.h"

namespace hadal::artifact {

/// That |kernel| has code in blobs of |artifact|, a block that the hardware can
/// run, and tensor maps that cuTensorMapEncodeTiled accepts.
std::string checkDeviceKernel(const schema::Artifact &artifact,
                              const schema::Kernel &kernel);

/// That |kernel|, which checkDeviceKernel accepted, can be launched as |launch|
/// says, which has an argument for every slot: the grid, the workspace, and the
/// slots that tensor maps take their base and extents from.
std::string checkDeviceLaunch(const schema::Kernel &kernel,
                              const schema::Command &launch);

/// That a launch on the CPU finds nothing that only a GPU can honour.
std::string checkNoDeviceFields(const schema::Kernel &kernel);

/// The upload steps of |parameter|, whose other fields are valid. |allowed|:
/// the target has a separate memory; else there must be none.
std::string checkUploadSteps(const schema::Parameter &parameter, bool allowed);

} // namespace hadal::artifact
