#include "frontend/Checkpoint.h"
#include "frontend/Error.h"
#include "frontend/Json.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace hadal;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
namespace json = llvm::json;
namespace fs = llvm::sys::fs;

/// Bytes per element; 0 for a dtype that safetensors does not define.
static uint64_t elementBytes(StringRef dtype) {
  return llvm::StringSwitch<uint64_t>(dtype)
      .Cases({"F8_E4M3", "F8_E5M2", "F8_E8M0", "U8", "I8", "BOOL"}, 1)
      .Cases({"BF16", "F16", "I16", "U16"}, 2)
      .Cases({"F32", "I32", "U32"}, 4)
      .Cases({"F64", "I64", "U64"}, 8)
      .Default(0);
}

/// One entry of a header. |begin| and |end| receive its data offsets.
static Expected<TensorInfo> parseEntry(StringRef name, const json::Value &value,
                                       StringRef file, uint64_t &begin,
                                       uint64_t &end) {
  auto bad = [&](StringRef what) {
    return makeError(1006, "{0}: tensor '{1}': {2}", file, name, what);
  };
  const json::Object *object = value.getAsObject();
  if (!object)
    return bad("its entry is not an object");
  TensorInfo info;
  info.file = file.str();
  std::optional<StringRef> dtype = object->getString("dtype");
  uint64_t size = dtype ? elementBytes(*dtype) : 0;
  if (!size)
    return bad(dtype ? "unknown dtype \"" + dtype->str() + "\""
                     : std::string("no dtype"));
  info.dtype = dtype->str();
  const json::Array *shape = object->getArray("shape");
  if (!shape)
    return bad("no shape");
  for (const json::Value &extent : *shape) {
    std::optional<int64_t> n = extent.getAsInteger();
    if (!n || *n < 0)
      return bad("a shape holds integers that are not negative");
    info.shape.push_back(*n);
    bool overflow = false;
    size = llvm::SaturatingMultiply(size, static_cast<uint64_t>(*n), &overflow);
    if (overflow)
      return bad("its size overflows 64 bits");
  }
  const json::Array *offsets = object->getArray("data_offsets");
  if (!offsets || offsets->size() != 2)
    return bad("no data_offsets");
  std::optional<int64_t> b = (*offsets)[0].getAsInteger();
  std::optional<int64_t> e = (*offsets)[1].getAsInteger();
  if (!b || !e || *b < 0 || *e < *b)
    return bad("data_offsets must be two ascending integers");
  begin = *b;
  end = *e;
  if (end - begin != size)
    return bad(llvm::formatv("data_offsets span {0} bytes, dtype and shape "
                             "need {1}",
                             end - begin, size)
                   .str());
  return info;
}

Expected<llvm::StringMap<TensorInfo>>
hadal::parseSafetensorsHeader(StringRef text, uint64_t fileBytes,
                              StringRef file) {
  uint64_t dataBytes = fileBytes - 8 - text.size();
  Expected<json::Value> value = parseJson(text);
  if (!value)
    return makeError(1006, "{0}: the header is not valid JSON: {1}", file,
                     llvm::toString(value.takeError()));
  const json::Object *object = value->getAsObject();
  if (!object)
    return makeError(1006, "{0}: the header is not a JSON object", file);
  llvm::StringMap<TensorInfo> out;
  struct Span {
    uint64_t begin, end;
    std::string name;
  };
  std::vector<Span> spans;
  for (const auto &entry : *object) {
    StringRef name = entry.first;
    if (name == "__metadata__")
      continue;
    Span span{0, 0, name.str()};
    Expected<TensorInfo> info =
        parseEntry(name, entry.second, file, span.begin, span.end);
    if (!info)
      return info.takeError();
    out[name] = std::move(*info);
    spans.push_back(std::move(span));
  }
  llvm::sort(spans, [](const Span &a, const Span &b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  uint64_t at = 0;
  for (const Span &span : spans) {
    if (span.begin != at)
      return makeError(1006,
                       "{0}: tensor '{1}' starts at byte {2} of the "
                       "data, expected {3}: tensors {4}",
                       file, span.name, span.begin, at,
                       span.begin < at ? "overlap" : "leave a hole");
    at = span.end;
  }
  if (at != dataBytes)
    return makeError(1006,
                     "{0}: the header describes {1} bytes of data, the "
                     "file holds {2}; it may be truncated",
                     file, at, dataBytes);
  return out;
}

/// Reads one file's header.
static Expected<llvm::StringMap<TensorInfo>> readHeader(StringRef directory,
                                                        StringRef file) {
  llvm::SmallString<256> path(directory);
  llvm::sys::path::append(path, file);
  uint64_t size = 0;
  if (std::error_code ec = fs::file_size(path, size))
    return makeError(1006, "{0}: cannot be read: {1}", path.str(),
                     ec.message());
  if (size < 8)
    return makeError(1006, "{0}: {1} bytes are too few for a safetensors file",
                     path.str(), size);
  auto prefix = llvm::MemoryBuffer::getFileSlice(path, 8, 0);
  if (!prefix)
    return makeError(1006, "{0}: cannot be read: {1}", path.str(),
                     prefix.getError().message());
  uint64_t length =
      llvm::support::endian::read64le((*prefix)->getBufferStart());
  // The format's own limit, so that a lying length is not allocated.
  constexpr uint64_t kMaxHeader = 100'000'000;
  if (length > size - 8 || length > kMaxHeader)
    return makeError(1006, "{0}: the header claims {1} bytes, the file has {2}",
                     path.str(), length, size - 8);
  if (length == 0)
    return makeError(1006, "{0}: the header is empty", path.str());
  auto text = llvm::MemoryBuffer::getFileSlice(path, length, 8);
  if (!text)
    return makeError(1006, "{0}: cannot be read: {1}", path.str(),
                     text.getError().message());
  return parseSafetensorsHeader((*text)->getBuffer(), size, file);
}

/// The weight_map of an index: tensor name to file name.
static Expected<llvm::StringMap<std::string>> readIndex(StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return makeError(1006, "{0}: cannot be read: {1}", path,
                     buffer.getError().message());
  Expected<json::Value> value = parseJson((*buffer)->getBuffer());
  if (!value)
    return makeError(1006, "{0}: not valid JSON: {1}", path,
                     llvm::toString(value.takeError()));
  const json::Object *root = value->getAsObject();
  const json::Object *map = root ? root->getObject("weight_map") : nullptr;
  if (!map)
    return makeError(1006, "{0}: has no 'weight_map' object", path);
  llvm::StringMap<std::string> out;
  for (const auto &entry : *map) {
    std::optional<StringRef> file = entry.second.getAsString();
    if (!file || file->empty() || file->contains('/') || *file == "..")
      return makeError(1006,
                       "{0}: tensor '{1}' must name a file of the same "
                       "directory",
                       path, StringRef(entry.first));
    out[entry.first] = file->str();
  }
  return out;
}

/// Names of the *.safetensors files of |directory|, sorted.
static std::vector<std::string> listFiles(StringRef directory) {
  std::vector<std::string> out;
  std::error_code ec;
  for (fs::directory_iterator it(directory, ec), end; it != end && !ec;
       it.increment(ec))
    if (llvm::sys::path::extension(it->path()) == ".safetensors")
      out.push_back(llvm::sys::path::filename(it->path()).str());
  llvm::sort(out);
  return out;
}

/// The W of "model0-mpW.safetensors", which DeepSeek's converter writes; else 1.
static int64_t ranksOf(StringRef file) {
  file.consume_back(".safetensors");
  StringRef tail = file.rsplit("-mp").second;
  int64_t ranks = 1;
  return file.starts_with("model") && !tail.consumeInteger(10, ranks) &&
                 tail.empty()
             ? ranks
             : 1;
}

Expected<std::optional<Checkpoint>> hadal::readCheckpoint(StringRef directory) {
  llvm::SmallString<256> indexPath(directory);
  llvm::sys::path::append(indexPath, "model.safetensors.index.json");
  bool indexed = fs::exists(indexPath);
  llvm::StringMap<std::string> index;
  std::vector<std::string> files;
  if (indexed) {
    Expected<llvm::StringMap<std::string>> map = readIndex(indexPath);
    if (!map)
      return map.takeError();
    index = std::move(*map);
    for (const auto &entry : index)
      files.push_back(entry.second);
    llvm::sort(files);
    files.erase(std::unique(files.begin(), files.end()), files.end());
  } else {
    files = listFiles(directory);
    if (files.empty())
      return std::nullopt;
  }

  Checkpoint out;
  out.directory = directory.str();
  for (const std::string &file : files) {
    if (int64_t ranks = ranksOf(file); ranks > 1)
      return makeError(1006,
                       "{0}: holds one of {1} ranks' share of the tensors; "
                       "convert the checkpoint with --model-parallel 1",
                       file, ranks);
    Expected<llvm::StringMap<TensorInfo>> header = readHeader(directory, file);
    if (!header)
      return header.takeError();
    for (auto &entry : *header) {
      StringRef name = entry.getKey();
      if (indexed) {
        auto it = index.find(name);
        if (it == index.end())
          return makeError(1006, "{0}: tensor '{1}' is not in the index", file,
                           name);
        if (it->second != file)
          continue; // the index decides which copy counts
      }
      auto [it, inserted] =
          out.tensors.try_emplace(name, std::move(entry.second));
      if (!inserted)
        return makeError(1006, "tensor '{0}' is in {1} and in {2}", name,
                         it->second.file, file);
    }
  }
  for (const auto &entry : index)
    if (!out.find(entry.getKey()))
      return makeError(1006,
                       "{0}: the index places tensor '{1}' there, the "
                       "file does not hold it",
                       entry.second, entry.getKey());
  return out;
}
