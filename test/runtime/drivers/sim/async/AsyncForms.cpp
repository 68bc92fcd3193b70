#include "test/runtime/drivers/sim/async/AsyncForms.h"

namespace hadal::sim::test {

std::string formText(const std::string &body) {
  return R"(.version 8.7
.target sm_90a
.address_size 64
.extern .shared .align 1024 .b8 smem[];
.visible .entry k(.param .align 64 .b8 m[128], .param .u64 pi, .param .u64 po)
{
  .reg .pred %p<16>;
  .reg .b16 %h<4>;
  .reg .b32 %r<32>;
  .reg .b32 %base, %tid;
  .reg .b64 %d<16>;
  .reg .b64 %in, %out, %map;
  mov.u32 %tid, %tid.x;
  mov.u64 %d0, smem;
  cvt.u32.u64 %base, %d0;
  ld.param.u64 %in, [pi];
  ld.param.u64 %out, [po];
  mov.b64 %map, m;
  cvta.param.u64 %map, %map;
)" + body +
         "\n  ret;\n}\n";
}

std::string refusalOf(const std::string &instruction) {
  auto module = PtxModule::parse(formText(instruction));
  return module.ok() ? std::string() : module.status().message();
}

} // namespace hadal::sim::test
