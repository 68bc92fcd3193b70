#include "frontend/Json.h"

using namespace hadal;

static constexpr int kMaxNesting = 64;

/// Whether |text| opens more than kMaxNesting brackets at once, outside strings.
static bool nestsTooDeep(llvm::StringRef text) {
  int depth = 0;
  bool inString = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (inString) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        inString = false;
    } else if (c == '"') {
      inString = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxNesting)
        return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

llvm::Expected<llvm::json::Value> hadal::parseJson(llvm::StringRef text) {
  if (nestsTooDeep(text))
    return llvm::createStringError("nested deeper than %d levels",
                                   kMaxNesting);
  return llvm::json::parse(text);
}
