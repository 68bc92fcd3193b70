#include "compiler/artifact/Writer.h"

#include "compiler/artifact/KernelFlops.h"
#include "compiler/artifact/ProgramWriter.h"
#include "dialects/Tile/IR/TileDialect.h"
#include "frontend/Error.h"
#include "kernels/SpecAttr.h"
#include "passes/Memory/KernelSlots.h"
#include "schedule/Attribute.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/raw_ostream.h"

#include <list>
#include <zstd.h>

using namespace mlir;

namespace hadal {

namespace {

/// Of zstd: some milliseconds for each kernel, and within a few percent of the
/// smallest.
constexpr int kCompressionLevel = 15;

// exec's enums are the schema's, number for number.
static_assert(static_cast<int>(exec::ParameterKind::Segments) ==
              static_cast<int>(schema::ParameterKind::segments));
static_assert(static_cast<int>(exec::Placement::Copy) ==
              static_cast<int>(schema::Placement::copy));
static_assert(static_cast<int>(exec::StateKind::Buffer) ==
              static_cast<int>(schema::StateKind::buffer));
static_assert(static_cast<int>(exec::Axis::World) ==
              static_cast<int>(schema::Axis::world));

std::string printed(Attribute attribute) {
  std::string text;
  llvm::raw_string_ostream os(text);
  if (auto string = dyn_cast<StringAttr>(attribute))
    os << string.getValue();
  else if (auto number = dyn_cast<IntegerAttr>(attribute))
    os << number.getInt();
  else
    attribute.print(os, /*elideType=*/true);
  return text;
}

class Serializer : Manifest {
public:
  Serializer(ModuleOp module, const TargetCode &code)
      : module(module), code(code), program(module, *this) {}

  llvm::Expected<std::vector<uint8_t>> run() {
    model = module->getAttrOfType<DictionaryAttr>(exec::kModelAttr);
    if (!model)
      return makeError(2001, "the module has no '{0}'", exec::kModelAttr);
    auto parameters = serializeParameters();
    auto states = serializeStates();
    auto kernels = serializeKernels();
    if (!kernels)
      return kernels.takeError();
    auto images = serializeImages();
    auto communicators = serializeCommunicators();
    std::vector<fb::Offset<schema::Entry>> entries;
    for (auto func : module.getOps<exec::FuncOp>())
      program.add(func);
    for (auto entry : module.getOps<exec::EntryOp>())
      entries.push_back(program.add(entry));
    auto provenance = serializeProvenance();
    auto modelTable = serializeModel();
    auto mesh = serializeMesh();
    if (!error.empty())
      return makeError(2001, "{0}", error);
    b.Finish(schema::CreateArtifact(
                 b, provenance, modelTable, b.CreateVector(parameters),
                 b.CreateVector(states), b.CreateVector(*kernels),
                 b.CreateVector(images), b.CreateVector(program.getFunctions()),
                 b.CreateVector(entries), b.CreateVector(blobs),
                 b.CreateVector(program.getOpNames()), mesh, communicators,
                 exchangeBytes()),
             artifact::kIdentifier);
    std::vector<uint8_t> manifest(b.GetBufferPointer(),
                                  b.GetBufferPointer() + b.GetSize());
    auto file = artifact::assembleArtifact(std::move(manifest), contents);
    if (!file)
      return makeError(2001, "the manifest and its blobs disagree");
    return std::move(*file);
  }

private:
  fb::Offset<fb::Vector<uint64_t>> numbers(ArrayRef<int64_t> values) {
    return b.CreateVector(std::vector<uint64_t>(values.begin(), values.end()));
  }

  int64_t number(StringRef key) {
    if (auto value = model.getAs<IntegerAttr>(key))
      return value.getInt();
    fail("'" + exec::kModelAttr + "' lacks the number '" + key + "'");
    return 0;
  }
  /// 0 where the model does not say.
  uint32_t optional(StringRef key) {
    auto value = model.getAs<IntegerAttr>(key);
    return value ? static_cast<uint32_t>(value.getInt()) : 0;
  }
  StringRef text(StringRef key) {
    if (auto value = model.getAs<StringAttr>(key))
      return value;
    fail("'" + exec::kModelAttr + "' lacks the text '" + key + "'");
    return "";
  }

  fb::Offset<schema::Model> serializeModel() {
    auto modelType = string(text("model_type"));
    auto fp8 = string(text("fp8_mode"));
    std::vector<int32_t> eos;
    if (auto ids = model.getAs<DenseI64ArrayAttr>("eos_token_ids"))
      eos.assign(ids.asArrayRef().begin(), ids.asArrayRef().end());
    auto eosIds = b.CreateVector(eos);
    return schema::CreateModel(
        b, modelType, number("vocab_size"), number("hidden_size"),
        number("num_layers"), number("num_experts"),
        number("num_experts_per_token"), number("num_moe_layers"),
        number("max_seq_len"), number("max_batch_size"), number("page_size"),
        number("bos_token_id"), eosIds,
        text("activations") == "f32" ? schema::DType::f32
                                     : schema::DType::bf16,
        fp8, number("hidden_buffer_bytes"),
        model.contains(exec::kDeterministic), optional("mtp_depth"),
        optional("max_drafts"),
        model.contains("media_token_id") ? number("media_token_id") : -1);
  }

  fb::Offset<schema::Provenance> serializeProvenance() {
    std::vector<fb::Offset<schema::KeyValue>> options;
    StringRef target;
    if (auto given = module->getAttrOfType<DictionaryAttr>(exec::kOptionsAttr))
      for (NamedAttribute option : given) {
        auto key = string(option.getName());
        options.push_back(schema::CreateKeyValue(
            b, key, string(printed(option.getValue()))));
        if (option.getName() == "target")
          target = cast<StringAttr>(option.getValue());
      }
    if (target.empty())
      fail("'" + exec::kOptionsAttr + "' lacks the text 'target'");
    auto version = string(HADAL_VERSION), llvmVersion = string(LLVM_VERSION_STRING);
    auto targetName = string(target), digest = string("");
    auto optionTable = b.CreateVector(options);
    auto remarks = strings(module->getAttrOfType<ArrayAttr>(exec::kRemarksAttr));
    fb::Offset<fb::String> ptxas;
    if (!code.ptxas.empty())
      ptxas = string(code.ptxas);
    return schema::CreateProvenance(b, version, llvmVersion, targetName,
                                    optionTable, digest, remarks,
                                    code.driverMinimum, code.ptxIsa, ptxas);
  }

  //===--- Manifest ------------------------------------------------------===//

  std::vector<fb::Offset<schema::Parameter>> serializeParameters() {
    std::vector<fb::Offset<schema::Parameter>> out;
    for (Operation &op : *module.getBody()) {
      if (auto parameter = dyn_cast<exec::ParameterOp>(op)) {
        parameterIndex[parameter.getSymName()] = out.size();
        out.push_back(serialize(parameter));
      } else if (auto table = dyn_cast<exec::RopeTableOp>(op)) {
        parameterIndex[table.getSymName()] = out.size();
        out.push_back(serialize(table));
      } else if (auto table = dyn_cast<exec::PlacementTableOp>(op)) {
        parameterIndex[table.getSymName()] = out.size();
        out.push_back(serialize(table));
      }
    }
    return out;
  }

  fb::Offset<schema::Parameter> serialize(exec::ParameterOp op) {
    std::vector<schema::DType> accepts;
    for (Type type : op.getAccepts().getAsValueRange<TypeAttr>())
      accepts.push_back(dtypeOf(type));
    bool isStack = op.getKind() == exec::ParameterKind::Stack;
    bool isSegments = op.getKind() == exec::ParameterKind::Segments;
    std::vector<schema::DType> scaleAccepts;
    fb::Offset<fb::Vector<fb::Offset<fb::String>>> scaleParts;
    fb::Offset<fb::Vector<schema::DType>> scaleTable;
    if (op.getScaleParts()) {
      for (Type type : op.getScaleAccepts()->getAsValueRange<TypeAttr>())
        scaleAccepts.push_back(dtypeOf(type));
      scaleParts = strings(*op.getScaleParts());
      scaleTable = b.CreateVector(scaleAccepts);
    }
    auto name = string(op.getSymName());
    auto acceptsTable = b.CreateVector(accepts);
    auto parts = strings(op.getParts());
    Strings copies;
    if (op.getCopies())
      copies = strings(*op.getCopies());
    auto rows = numbers(op.getRows()), inner = numbers(op.getInner());
    fb::Offset<schema::Slice> slice;
    if (op.getAxis())
      slice = schema::CreateSlice(b, static_cast<schema::Axis>(*op.getAxis()),
                                  *op.getSliceDim(), *op.getSliceUnit());
    schema::ParameterBuilder p(b);
    p.add_name(name);
    p.add_kind(static_cast<schema::ParameterKind>(op.getKind()));
    p.add_place(static_cast<schema::Placement>(op.getPlace()));
    p.add_dtype(dtypeOf(op.getDtype()));
    p.add_file_dtypes(acceptsTable);
    p.add_parts(parts);
    if (isStack)
      p.add_count(*op.getCount());
    p.add_rows(rows);
    p.add_inner(inner);
    if (isSegments)
      p.add_segment_rows(*op.getCount());
    p.add_is_scale(op.getCheck() == exec::ValueCheck::NonNegative);
    p.add_is_finite(op.getCheck() == exec::ValueCheck::Finite);
    p.add_row_pitch(op.getPitch().value_or(0));
    if (op.getScaleParts()) {
      p.add_scale_parts(scaleParts);
      p.add_scale_dtypes(scaleTable);
      p.add_scale_block_rows((*op.getScaleBlock())[0]);
      p.add_scale_block_cols((*op.getScaleBlock())[1]);
    }
    if (op.getAxis())
      p.add_slice(slice);
    p.add_layer(op.getLayer().value_or(-1));
    if (op.getCopies())
      p.add_copies(copies);
    return p.Finish();
  }

  fb::Offset<schema::Parameter> serialize(exec::RopeTableOp op) {
    GeneratedFields fields = createGeneratedFields(op.getSymName());
    auto frequencies = b.CreateVector(op.getInvFreq().vec());
    schema::ParameterBuilder p(b);
    fields.addTo(p, schema::DType::f32, schema::Generator::rope_cos_sin);
    p.add_inv_freq(frequencies);
    p.add_positions(op.getPositions());
    p.add_scale(op.getScale().convertToFloat());
    return p.Finish();
  }

  fb::Offset<schema::Parameter> serialize(exec::PlacementTableOp op) {
    if (op.getExperts() != number("num_experts"))
      fail("'" + op.getSymName() + "' places " + Twine(op.getExperts()) +
           " experts, the model has " + Twine(number("num_experts")));
    GeneratedFields fields = createGeneratedFields(op.getSymName());
    schema::ParameterBuilder p(b);
    fields.addTo(p, schema::DType::i32, schema::Generator::placement_table);
    p.add_layer(op.getLayer());
    p.add_replicas(op.getReplicas());
    return p.Finish();
  }

  /// What every parameter without a file has.
  struct GeneratedFields {
    fb::Offset<fb::String> name;
    fb::Offset<fb::Vector<schema::DType>> dtypes;
    Strings parts;
    fb::Offset<fb::Vector<uint64_t>> rows, inner;

    void addTo(schema::ParameterBuilder &p, schema::DType dtype,
               schema::Generator generator) const {
      p.add_name(name);
      p.add_kind(schema::ParameterKind::generated);
      p.add_place(schema::Placement::copy);
      p.add_dtype(dtype);
      p.add_file_dtypes(dtypes);
      p.add_parts(parts);
      p.add_rows(rows);
      p.add_inner(inner);
      p.add_generator(generator);
    }
  };
  GeneratedFields createGeneratedFields(StringRef symbol) {
    GeneratedFields fields;
    fields.name = string(symbol);
    fields.dtypes = b.CreateVector(std::vector<schema::DType>());
    fields.parts = strings({});
    fields.rows = numbers({});
    fields.inner = numbers({});
    return fields;
  }

  //===--- Ranks ---------------------------------------------------------===//

  fb::Offset<schema::Mesh> serializeMesh() {
    exec::MeshAttr mesh = exec::getMesh(module);
    if (!mesh)
      return {};
    return schema::CreateMesh(b, mesh.getTp(), mesh.getDp(), mesh.getEp(),
                              mesh.getNode(), mesh.getSlots(),
                              mesh.getVocabSplit());
  }

  fb::Offset<fb::Vector<fb::Offset<schema::Communicator>>>
  serializeCommunicators() {
    std::vector<fb::Offset<schema::Communicator>> out;
    for (auto op : module.getOps<exec::CommunicatorOp>()) {
      communicatorIndex[op.getSymName()] = out.size();
      auto name = string(op.getSymName());
      out.push_back(schema::CreateCommunicator(
          b, name, static_cast<schema::Axis>(op.getAxis()), op.getSize()));
    }
    if (out.empty())
      return {};
    return b.CreateVector(out);
  }

  /// The end of the last exchange buffer of all entries.
  uint64_t exchangeBytes() {
    uint64_t bytes = 0;
    module.walk([&](exec::BufferOp buffer) {
      if (buffer.getExchange())
        bytes = std::max<uint64_t>(
            bytes,
            llvm::alignTo(buffer.getOffset().value_or(0) + buffer.getBytes(),
                          exec::kBufferAlign));
    });
    return bytes;
  }

  std::vector<fb::Offset<schema::State>> serializeStates() {
    std::vector<fb::Offset<schema::State>> out;
    for (auto op : module.getOps<exec::StateOp>()) {
      stateIndex[op.getSymName()] = out.size();
      out.push_back(schema::CreateState(
          b, string(op.getSymName()),
          static_cast<schema::StateKind>(op.getKind()),
          op.getDtype() ? dtypeOf(*op.getDtype()) : schema::DType::none,
          op.getRow().value_or(0), op.getBytes().value_or(0),
          op.getPitch().value_or(0)));
    }
    return out;
  }

  //===--- Kernels -------------------------------------------------------===//

  llvm::Expected<std::vector<fb::Offset<schema::Kernel>>> serializeKernels() {
    std::vector<fb::Offset<schema::Kernel>> out;
    // The largest launch of each kernel.
    llvm::StringMap<uint64_t> items;
    module.walk([&](exec::LaunchOp launch) {
      uint64_t &most = items[launch.getKernel()];
      most = std::max<uint64_t>(most, launch.getItems());
    });
    // The tokens of an ep group share its experts: a rank's are chosen so often.
    exec::MeshAttr mesh = exec::getMesh(module);
    double expertsPerToken =
        static_cast<double>(number("num_experts_per_token")) /
        static_cast<double>(mesh ? mesh.getEp() : 1);
    for (auto kernel : module.getOps<tile::KernelOp>()) {
      size_t index = out.size();
      if (index >= code.kernels.size() ||
          code.kernels[index].name != kernel.getSymName())
        return makeError(2001, "the target has no code for kernel '{0}'",
                         kernel.getSymName());
      const KernelFacts &facts = code.kernels[index];
      kernelIndex[kernel.getSymName()] = index;
      std::vector<fb::Offset<fb::String>> argNames;
      for (const KernelSlot &slot : getKernelSlots(kernel))
        argNames.push_back(string(slot.name));
      std::vector<fb::Offset<schema::KernelFact>> factTable;
      for (const auto &[key, value] : facts.facts) {
        auto keyText = string(key);
        factTable.push_back(schema::CreateKernelFact(b, keyText, string(value)));
      }
      auto name = string(kernel.getSymName());
      auto args = b.CreateVector(argNames);
      auto factVector = b.CreateVector(factTable);
      uint64_t flops = countLaunchFlops(
          kernel, items.lookup(kernel.getSymName()), expertsPerToken);
      fb::Offset<schema::KernelSpec> spec;
      if (kernel.getSpecAttr())
        spec = serialize(kernel.getSpecAttr());
      auto words = serialize(kernel.getSchedule());
      fb::Offset<fb::Vector<fb::Offset<schema::TensorMap>>> maps;
      fb::Offset<fb::Vector<fb::Offset<schema::KernelCode>>> images;
      DeviceKernel device;
      device.ctasPerItem = 0; // all absent on the CPU
      if (facts.device) {
        device = *facts.device;
        maps = serialize(device.tensorMaps);
        images = addCode(device);
      }
      out.push_back(schema::CreateKernel(
          b, name, argNames.size(), args, facts.scratchBytes, factVector,
          countWeightBytes(kernel), flops, device.threads, device.sharedBytes,
          device.ctasPerItem, device.persistent, device.workspaceFixed,
          device.workspacePerItem, maps, images, spec, words));
    }
    if (out.size() != code.kernels.size())
      return makeError(2001, "the target has code for {0} kernels, the module "
                             "has {1}",
                       code.kernels.size(), out.size());
    return out;
  }

  fb::Offset<fb::Vector<fb::Offset<schema::ScheduleWord>>>
  serialize(tile::ScheduleAttr attribute) {
    std::vector<fb::Offset<schema::ScheduleWord>> words;
    std::string error;
    auto schedule = schedule::fromAttribute(attribute, error);
    if (!schedule) // hand-written, and refused by every lowering
      return b.CreateVector(words);
    for (const auto &[word, value] : schedule->words) {
      auto given = schedule->given.find(word);
      schema::ScheduleOrigin origin = schema::ScheduleOrigin::rule;
      if (given != schedule->given.end())
        origin = given->second == schedule::Origin::option
                     ? schema::ScheduleOrigin::option
                     : schema::ScheduleOrigin::edit;
      auto wordText = string(word);
      words.push_back(schema::CreateScheduleWord(
          b, wordText, string(schedule::toString(value)), origin));
    }
    return b.CreateVector(words);
  }

  fb::Offset<schema::KernelSpec> serialize(tile::SpecAttr spec) {
    kernels::SpecText text = kernels::toText(spec);
    std::vector<fb::Offset<schema::KeyValue>> fields;
    for (const auto &[key, value] : text.fields) {
      auto keyText = string(key);
      fields.push_back(schema::CreateKeyValue(b, keyText, string(value)));
    }
    auto kind = string(text.kind);
    return schema::CreateKernelSpec(b, kind, b.CreateVector(fields));
  }

  std::vector<fb::Offset<schema::Image>> serializeImages() {
    std::vector<fb::Offset<schema::Image>> out;
    for (const KernelImage &image : code.images) {
      auto variant = string(image.variant);
      auto offsets = b.CreateVector(image.entryOffsets);
      uint32_t blob = addBlob(artifact::plainBlob(image.bytes), false);
      out.push_back(schema::CreateImage(b, variant, blob, offsets));
    }
    return out;
  }

  fb::Offset<fb::Vector<fb::Offset<schema::TensorMap>>>
  serialize(ArrayRef<DeviceTensorMap> maps) {
    std::vector<fb::Offset<schema::TensorMap>> out;
    for (const DeviceTensorMap &map : maps) {
      std::vector<fb::Offset<schema::TensorMapDim>> dims;
      std::vector<uint32_t> box;
      for (const DeviceTensorMapDim &dim : map.dims) {
        dims.push_back(schema::CreateTensorMapDim(b, dim.extent, dim.slot,
                                                  dim.strideBytes));
        box.push_back(dim.box);
      }
      auto dimTable = b.CreateVector(dims);
      out.push_back(schema::CreateTensorMap(b, map.slot, map.dtype, dimTable,
                                            b.CreateVector(box), map.swizzle));
    }
    return b.CreateVector(out);
  }

  /// The code of a kernel, compressed: PTX is text and cubins are sparse.
  fb::Offset<fb::Vector<fb::Offset<schema::KernelCode>>>
  addCode(const DeviceKernel &device) {
    std::vector<fb::Offset<schema::KernelCode>> out;
    for (auto [variant, text] : {std::pair<StringRef, StringRef>{"ptx", device.ptx},
                                 {"cubin", device.cubin}}) {
      if (text.empty())
        continue;
      auto &bytes = compressed.emplace_back(ZSTD_compressBound(text.size()));
      size_t size = ZSTD_compress(bytes.data(), bytes.size(), text.data(),
                                  text.size(), kCompressionLevel);
      if (ZSTD_isError(size))
        fail("zstd: " + Twine(ZSTD_getErrorName(size)));
      else
        bytes.resize(size);
      auto name = string(variant);
      uint32_t blob = addBlob({bytes, text.size()}, true);
      out.push_back(schema::CreateKernelCode(b, name, blob));
    }
    return b.CreateVector(out);
  }

  uint32_t addBlob(artifact::BlobContent content, bool zstd) {
    blobs.push_back(artifact::createBlobPlaceholder(b, zstd));
    contents.push_back(content);
    return blobs.size() - 1;
  }

  ModuleOp module;
  const TargetCode &code;
  DictionaryAttr model;
  ProgramWriter program;
  std::vector<fb::Offset<schema::Blob>> blobs;
  std::vector<artifact::BlobContent> contents;
  std::list<std::vector<uint8_t>> compressed; // what `contents` points to
};

} // namespace

llvm::Expected<std::vector<uint8_t>> serializeArtifact(ModuleOp module,
                                                       const TargetCode &code) {
  return Serializer(module, code).run();
}

} // namespace hadal
