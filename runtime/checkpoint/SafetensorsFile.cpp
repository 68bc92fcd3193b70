#include "runtime/checkpoint/SafetensorsFile.h"

#include <algorithm>
#include <cstring>

#include "runtime/base/Checked.h"
#include "runtime/base/Json.h"

namespace hadal {

namespace {

struct DTypeInfo {
  const char *name;
  unsigned bits;
};

/// In the order of SafetensorsDType.
constexpr DTypeInfo kDTypes[] = {
    {"BOOL", 8},    {"F4", 4},          {"F6_E2M3", 6},     {"F6_E3M2", 6},
    {"U8", 8},      {"I8", 8},          {"F8_E5M2", 8},     {"F8_E4M3", 8},
    {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
    {"U16", 16},    {"F16", 16},        {"BF16", 16},       {"I32", 32},
    {"U32", 32},    {"F32", 32},        {"C64", 64},        {"F64", 64},
    {"I64", 64},    {"U64", 64}};
static_assert(std::size(kDTypes) ==
              static_cast<size_t>(SafetensorsDType::U64) + 1);

/// Reads the members of a tensor's description. |where| is "file: tensor" for
/// messages. The range is relative to the data section.
StatusOr<SafetensorsTensor> parseTensor(const Json &value,
                                        const std::string &where) {
  if (!value.is_object())
    return error(5002,
                 "{}: expected an object with dtype, shape and "
                 "data_offsets, found {}",
                 where, value.type_name());

  SafetensorsTensor tensor;
  const std::string *dtype = asString(findMember(value, "dtype"));
  if (!dtype)
    return error(5002, "{}: expected a string \"dtype\", found none", where);
  const DTypeInfo *info =
      std::find_if(std::begin(kDTypes), std::end(kDTypes),
                   [&](const DTypeInfo &d) { return *dtype == d.name; });
  if (info == std::end(kDTypes))
    return error(5002, "{}: unknown dtype \"{}\"", where, *dtype);
  tensor.dtype = static_cast<SafetensorsDType>(info - kDTypes);

  const Json *shape = findMember(value, "shape");
  if (!shape || !shape->is_array())
    return error(5002, "{}: expected an array \"shape\", found {}", where,
                 shape ? shape->type_name() : "none");
  // A zero extent makes any later product zero, not an earlier one: the
  // elements are counted in the order of the shape, each product checked.
  std::optional<uint64_t> bits = 1;
  for (const Json &extent : shape->get_ref<const Json::array_t &>()) {
    std::optional<uint64_t> n = asUnsigned(&extent);
    if (!n)
      return error(5002,
                   "{}: expected non-negative integers in \"shape\", found {}",
                   where, extent.type_name());
    tensor.shape.push_back(*n);
    if (bits)
      bits = checkedMul(*bits, *n);
  }
  if (bits)
    bits = checkedMul(*bits, info->bits);
  if (!bits)
    return error(5002, "{}: the size of shape [{}] overflows 64 bits", where,
                 fmt::join(tensor.shape, ", "));
  if (*bits % 8)
    return error(5002, "{}: {} [{}] does not fill whole bytes", where,
                 info->name, fmt::join(tensor.shape, ", "));
  const uint64_t bytes = *bits / 8;

  const Json *offsets = findMember(value, "data_offsets");
  std::optional<uint64_t> range[2];
  if (offsets && offsets->is_array() && offsets->size() == 2)
    for (int i = 0; i < 2; ++i)
      range[i] = asUnsigned(&offsets->get_ref<const Json::array_t &>()[i]);
  if (!range[0] || !range[1])
    return error(5002,
                 "{}: expected \"data_offsets\" of two non-negative "
                 "integers, found {}",
                 where, offsets ? offsets->dump() : "none");
  if (*range[1] < *range[0])
    return error(5002, "{}: data_offsets [{}, {}] end before they begin", where,
                 *range[0], *range[1]);
  tensor.begin = *range[0];
  tensor.bytes = *range[1] - *range[0];
  if (tensor.bytes != bytes)
    return error(
        5002, "{}: {} [{}] needs {} bytes, but data_offsets [{}, {}] hold {}",
        where, info->name, fmt::join(tensor.shape, ", "), bytes, *range[0],
        *range[1], tensor.bytes);
  return tensor;
}

Status checkMetadata(const Json &value, const std::string &path) {
  if (value.is_null())
    return Status();
  if (!value.is_object())
    return error(5002, "'{}': expected an object as __metadata__, found {}",
                 path, value.type_name());
  for (const auto &[key, member] : value.get_ref<const Json::object_t &>())
    if (!member.is_string())
      return error(5002,
                   "'{}': expected a string as __metadata__ \"{}\", found {}",
                   path, key, member.type_name());
  return Status();
}

} // namespace

const char *safetensorsDTypeName(SafetensorsDType dtype) {
  return kDTypes[static_cast<size_t>(dtype)].name;
}

StatusOr<SafetensorsFile> SafetensorsFile::open(const std::string &path) {
  SafetensorsFile result;
  HADAL_ASSIGN_OR_RETURN(result.file_, MappedFile::open(path));
  const MappedFile &file = result.file_;
  uint64_t headerBytes = 0;
  if (file.size() < sizeof(headerBytes))
    return error(5002, "'{}' is truncated: expected at least 8 bytes, found {}",
                 path, file.size());
  constexpr std::string_view kPointer = "version https://git-lfs";
  if (std::string_view(reinterpret_cast<const char *>(file.data()), file.size())
          .starts_with(kPointer))
    return error(5002,
                 "'{}' is a Git LFS pointer of {} bytes, not the file itself; "
                 "fetch it with git lfs pull",
                 path, file.size());
  std::memcpy(&headerBytes, file.data(), sizeof(headerBytes));
  if (headerBytes > kMaxHeaderBytes)
    return error(5002,
                 "'{}': expected a header of at most {} bytes, found {}; "
                 "is this a safetensors file?",
                 path, kMaxHeaderBytes, headerBytes);
  uint64_t dataBegin = sizeof(headerBytes) + headerBytes;
  if (dataBegin > file.size())
    return error(
        5002, "'{}' is truncated: the header ends at byte {}, the file at {}",
        path, dataBegin, file.size());
  std::string_view header(reinterpret_cast<const char *>(file.data()) + 8,
                          headerBytes);
  if (header.empty() || header.front() != '{')
    return error(5002, "'{}': expected a header that starts with '{{'", path);
  JsonLimits limits;
  limits.depth = 4;
  HADAL_ASSIGN_OR_RETURN(Json root, parseJson(header, 5002, path, limits));

  std::vector<std::pair<const std::string *, const SafetensorsTensor *>> order;
  for (const auto &[name, value] : root.get_ref<const Json::object_t &>()) {
    if (name == "__metadata__") {
      HADAL_RETURN_IF_ERROR(checkMetadata(value, path));
      continue;
    }
    HADAL_ASSIGN_OR_RETURN(
        SafetensorsTensor tensor,
        parseTensor(value, fmt::format("'{}': tensor {}", path, name)));
    auto position = result.tensors_.emplace(name, std::move(tensor)).first;
    order.emplace_back(&position->first, &position->second);
  }

  // Tensors without bytes share their begin with the next one.
  std::sort(order.begin(), order.end(), [](const auto &a, const auto &b) {
    return std::pair(a.second->begin, a.second->bytes) <
           std::pair(b.second->begin, b.second->bytes);
  });
  uint64_t end = 0;
  for (const auto &[name, tensor] : order) {
    if (tensor->begin != end)
      return error(5002,
                   "'{}': tensor {} {}: expected its data at offset {}, found "
                   "{}",
                   path, *name,
                   tensor->begin < end ? "overlaps its predecessor"
                                       : "leaves a hole before it",
                   end, tensor->begin);
    // begin + bytes is the end offset of the file, which fits in 64 bits.
    end += tensor->bytes;
  }
  if (end != file.size() - dataBegin)
    return error(5002,
                 "'{}': the tensors need {} bytes after the header, the "
                 "file has {}; is the download complete?",
                 path, end, file.size() - dataBegin);
  for (auto &[name, tensor] : result.tensors_)
    tensor.begin += dataBegin;
  return result;
}

const SafetensorsTensor *SafetensorsFile::find(std::string_view name) const {
  auto position = tensors_.find(name);
  return position == tensors_.end() ? nullptr : &position->second;
}

} // namespace hadal
