// libnccl, opened at run time.
#pragma once

#include <string>

#include "runtime/base/Status.h"
#include "runtime/comm/nccl/NcclApi.h"

namespace hadal::comm::nccl {

/// An opened libnccl. It stays loaded until the process ends: it has threads of
/// its own.
class NcclLibrary {
public:
  /// Opens |path|; empty: what HADAL_LIBNCCL names, else libnccl.so.2. H6005 if
  /// it is not there, lacks a function or is older than 2.18.
  static StatusOr<NcclLibrary> open(std::string path = "");

  const Api &api() const { return api_; }
  int version() const { return version_; }
  /// "nccl 2.28.9 ('libnccl.so.2')".
  std::string description() const;

  /// ok, or H6007: "<what>: <NCCL's own words>". |comm|: what it was about, or
  /// null. In progress is ok.
  Status check(Result result, std::string_view what, Comm comm = nullptr) const;

private:
  NcclLibrary() = default;

  std::string path_;
  int version_ = 0;
  Api api_;
};

/// A version as people read it: 22809 -> "2.28.9".
std::string versionText(int version);

} // namespace hadal::comm::nccl
