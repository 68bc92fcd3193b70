// Lays objects out as one flat blob and resolves their relocations.
#include "compiler/codegen/cpu/Image.h"

#include "frontend/Error.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/Endian.h"

using namespace llvm;
using object::ELF64LEObjectFile;
using object::SectionRef;
using object::SymbolRef;

namespace hadal::cpu {
namespace {

/// One object, its sections' places in the image, and its own symbols.
struct Input {
  std::unique_ptr<ELF64LEObjectFile> file;
  DenseMap<unsigned, uint64_t> sectionStart; // by section index
};

/// The work of linkImage.
class Linker {
public:
  Linker(ArrayRef<StringRef> objects, Variant variant)
      : objects(objects), variant(variant) {}

  Expected<CpuImage> run(ArrayRef<std::string> entries);

private:
  Error open();
  Error layOut(bool code);
  Error collectSymbols();
  Error relocate(Input &input, const SectionRef &section);
  /// Name of the function that holds |offset| of |section|.
  std::string holderOf(Input &input, const SectionRef &section,
                       uint64_t offset);
  Error failure(const Twine &what) {
    return makeError(3003, "variant {0}: {1}", variantName(variant),
                     what.str());
  }

  ArrayRef<StringRef> objects;
  Variant variant;
  std::vector<Input> inputs;
  std::vector<uint8_t> image;
  StringMap<uint64_t> globals;
};

bool isLoaded(const SectionRef &section) {
  return object::ELFSectionRef(section).getFlags() & ELF::SHF_ALLOC;
}

Error Linker::open() {
  for (StringRef bytes : objects) {
    MemoryBufferRef buffer(bytes, "kernels.o");
    Expected<std::unique_ptr<object::ObjectFile>> file =
        object::ObjectFile::createELFObjectFile(buffer);
    if (!file)
      return file.takeError();
    if (!isa<ELF64LEObjectFile>(**file))
      return failure("an object is not ELF64 little-endian");
    Input input;
    input.file.reset(cast<ELF64LEObjectFile>(file->release()));
    inputs.push_back(std::move(input));
  }
  return Error::success();
}

Error Linker::layOut(bool code) {
  for (Input &input : inputs)
    for (const SectionRef &section : input.file->sections()) {
      object::ELFSectionRef elf(section);
      if (!isLoaded(section) || elf.getSize() == 0 ||
          static_cast<bool>(elf.getFlags() & ELF::SHF_EXECINSTR) != code)
        continue;
      Expected<StringRef> name = section.getName();
      if (!name)
        return name.takeError();
      if (elf.getFlags() & (ELF::SHF_WRITE | ELF::SHF_TLS))
        return failure("section " + *name +
                       " is writable; an image is mapped read-only");
      Expected<StringRef> contents = section.getContents();
      if (!contents)
        return contents.takeError();
      uint64_t start = alignTo(
          image.size(), std::max<uint64_t>(64, section.getAlignment().value()));
      // 0xCC traps: padding between code is never run.
      image.resize(start, code ? 0xCC : 0);
      image.insert(image.end(), contents->begin(), contents->end());
      input.sectionStart[section.getIndex()] = start;
    }
  return Error::success();
}

Error Linker::collectSymbols() {
  for (Input &input : inputs)
    for (const object::ELFSymbolRef &symbol : input.file->symbols()) {
      Expected<uint32_t> flags = symbol.getFlags();
      if (!flags)
        return flags.takeError();
      if (!(*flags & SymbolRef::SF_Global) ||
          (*flags & SymbolRef::SF_Undefined))
        continue;
      Expected<StringRef> name = symbol.getName();
      Expected<object::section_iterator> section = symbol.getSection();
      if (!name || !section)
        return joinErrors(name.takeError(), section.takeError());
      if (*section == input.file->section_end())
        return failure("symbol " + *name + " has an absolute address");
      uint64_t address = input.sectionStart.lookup((*section)->getIndex()) +
                         symbol.getValue().get();
      if (!globals.try_emplace(*name, address).second)
        return failure("symbol " + *name + " is defined twice");
    }
  return Error::success();
}

std::string Linker::holderOf(Input &input, const SectionRef &section,
                             uint64_t offset) {
  std::string best = "constant data";
  for (const object::ELFSymbolRef &symbol : input.file->symbols()) {
    Expected<object::section_iterator> home = symbol.getSection();
    Expected<StringRef> name = symbol.getName();
    if (!home || !name) {
      consumeError(home.takeError());
      consumeError(name.takeError());
      continue;
    }
    if (*home == object::section_iterator(section) &&
        symbol.getELFType() == ELF::STT_FUNC &&
        offset >= symbol.getValue().get() &&
        offset < symbol.getValue().get() + symbol.getSize())
      best = name->str();
  }
  return best;
}

Error Linker::relocate(Input &input, const SectionRef &section) {
  Expected<object::section_iterator> target = section.getRelocatedSection();
  if (!target)
    return target.takeError();
  if (*target == input.file->section_end() || !isLoaded(**target))
    return Error::success();
  auto start = input.sectionStart.find((*target)->getIndex());
  if (start == input.sectionStart.end())
    return Error::success();
  for (object::ELFRelocationRef reloc : section.relocations()) {
    uint64_t type = reloc.getType();
    uint64_t place = start->second + reloc.getOffset();
    if (type == ELF::R_X86_64_NONE)
      continue;
    auto holder = [&] {
      return holderOf(input, **target, reloc.getOffset());
    };
    object::ELFSymbolRef symbol(*reloc.getSymbol());
    Expected<StringRef> name = symbol.getName();
    Expected<uint32_t> flags = symbol.getFlags();
    Expected<object::section_iterator> home = symbol.getSection();
    Expected<int64_t> addend = reloc.getAddend();
    if (!name || !flags || !home || !addend)
      return joinErrors(joinErrors(name.takeError(), flags.takeError()),
                        joinErrors(home.takeError(), addend.takeError()));
    if (type != ELF::R_X86_64_PC32 && type != ELF::R_X86_64_PLT32 &&
        type != ELF::R_X86_64_PC64) {
      SmallString<32> word;
      reloc.getTypeName(word);
      return failure("kernel " + holder() + " needs relocation " + word +
                     " to '" + *name +
                     "'; an image holds relative references only");
    }
    uint64_t address;
    if (*flags & SymbolRef::SF_Undefined) {
      auto found = globals.find(*name);
      if (found == globals.end())
        return failure("kernel " + holder() +
                       " refers to the external symbol '" + *name +
                       "'; kernels call nothing outside their image");
      address = found->second;
    } else {
      address = input.sectionStart.lookup((*home)->getIndex()) +
                symbol.getValue().get();
    }
    int64_t value = static_cast<int64_t>(address) + *addend -
                    static_cast<int64_t>(place);
    if (type == ELF::R_X86_64_PC64) {
      support::endian::write64le(image.data() + place, value);
      continue;
    }
    if (!isInt<32>(value))
      return failure("kernel " + holder() + ": '" + *name +
                     "' is out of reach");
    support::endian::write32le(image.data() + place, value);
  }
  return Error::success();
}

Expected<CpuImage> Linker::run(ArrayRef<std::string> entries) {
  if (Error error = open())
    return error;
  if (Error error = layOut(/*code=*/true))
    return error;
  if (Error error = layOut(/*code=*/false))
    return error;
  if (Error error = collectSymbols())
    return error;
  for (Input &input : inputs)
    for (const SectionRef &section : input.file->sections())
      if (Error error = relocate(input, section))
        return error;
  CpuImage result;
  result.variant = variantName(variant).str();
  for (const std::string &entry : entries) {
    auto found = globals.find(entry);
    if (found == globals.end())
      return failure("kernel " + entry + " has no code");
    result.entryOffsets.push_back(found->second);
  }
  result.bytes = std::move(image);
  return result;
}

} // namespace

Expected<CpuImage> linkImage(ArrayRef<StringRef> objects,
                             ArrayRef<std::string> entries, Variant variant) {
  return Linker(objects, variant).run(entries);
}

} // namespace hadal::cpu
