// The approximate f32 functions of PTX. The hardware's values come from tables
// that are not published; the simulator returns the double-precision value
// rounded once, which is inside every bound of the ISA. Never compare results
// bit by bit with hardware.
#pragma once

namespace hadal::sim {

/// Subnormal |x| becomes a zero of its sign (.ftz).
float flushSubnormal(float x);

/// 2^x. -inf gives +0, a zero gives 1.
float ex2Approx(float x, bool ftz);
/// log2(x). A zero gives -inf, a negative value the canonical NaN.
float lg2Approx(float x, bool ftz);
/// 1/x. A zero gives an infinity of its sign.
float rcpApprox(float x, bool ftz);
/// 1/sqrt(x). +0 gives +inf, -0 gives -inf, a negative value NaN.
float rsqrtApprox(float x, bool ftz);
/// sqrt(x). -0 gives -0, a negative value NaN.
float sqrtApprox(float x, bool ftz);
/// tanh(x).
float tanhApprox(float x);
/// sin(x) and cos(x), argument in radians.
float sinApprox(float x, bool ftz);
float cosApprox(float x, bool ftz);
/// a/b of div.approx and div.full.
float divApprox(float a, float b, bool ftz);

} // namespace hadal::sim
