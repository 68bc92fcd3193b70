#include "runtime/base/Npy.h"

namespace hadal {

namespace {

/// Magic, version 1.0, header length and a dictionary padded to 128 bytes: the
/// count of rows is written into it last.
std::string npyHeader(uint64_t rows, uint64_t columns) {
  constexpr size_t kHeaderBytes = 128;
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(kHeaderBytes - 10);
  header += '\0';
  header += fmt::format(
      "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows,
      columns);
  header.resize(kHeaderBytes - 1, ' ');
  return header + '\n';
}

} // namespace

StatusOr<NpyWriter> NpyWriter::create(const std::string &path,
                                      uint64_t columns) {
  NpyWriter writer;
  HADAL_ASSIGN_OR_RETURN(writer.file_, OutputFile::create(path));
  writer.columns_ = columns;
  HADAL_RETURN_IF_ERROR(writer.file_.write(npyHeader(0, columns)));
  return writer;
}

Status NpyWriter::append(std::span<const float> values) {
  if (columns_ == 0 || values.size() % columns_ != 0)
    return error(5014, "{} values are no whole rows of {} columns",
                 values.size(), columns_);
  rows_ += values.size() / columns_;
  return file_.write(values.data(), values.size_bytes());
}

Status NpyWriter::commit() {
  HADAL_RETURN_IF_ERROR(file_.writeAt(0, npyHeader(rows_, columns_)));
  return file_.commit();
}

} // namespace hadal
