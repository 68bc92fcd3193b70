// The file: markup, style and script of page/, then the data, then the blobs,
// so that of a file that was cut off all is there but the last ones.
#include <algorithm>

#include "tools/hadal-report/Deflate.h"
#include "tools/hadal-report/Report.h"

namespace hadal::report {

/// page/index.html, page/style.css, then the scripts in their order; a file
/// that the build makes.
extern const std::string_view page[];
extern const size_t numPageFiles;

namespace {

constexpr int kCode = 5023;
constexpr std::string_view kDataTag =
    "<script type=\"application/json\" id=\"hadal-report\">";
constexpr std::string_view kBlobTag =
    "<script type=\"application/octet-stream\" id=\"";
constexpr std::string_view kEndTag = "</script>\n";
constexpr uint64_t kMostBlobBytes = uint64_t{1} << 30;

/// JSON that no parser of HTML sees an end tag or a comment in.
std::string safeJson(const Json &json) {
  std::string safe;
  for (char c : json.dump(-1, ' ', false, Json::error_handler_t::replace))
    if (c == '<')
      safe += "\\u003c";
    else
      safe += c;
  return safe;
}

std::string blobTag(size_t index) {
  return fmt::format("{}b{}\">", kBlobTag, index);
}

/// Empties blobs, part by part, until |size| is at most |budget|; the names of
/// what it left out.
Json leaveOut(Report &report, std::vector<std::string> &coded, uint64_t size,
              uint64_t budget) {
  Json left = Json::array();
  for (Report::Part part :
       {Report::Part::sm90, Report::Part::passes, Report::Part::profile}) {
    if (size <= budget)
      break;
    for (size_t i = 0; i < coded.size(); ++i)
      if (report.blobs[i].part == part) {
        size -= coded[i].size();
        coded[i].clear();
        left.push_back(report.blobs[i].what);
      }
  }
  return left;
}

void replaceOnce(std::string &text, std::string_view mark,
                 std::string_view value) {
  text.replace(text.find(mark), mark.size(), value);
}

} // namespace

std::string Report::addBlob(std::string text, Part part, std::string what) {
  blobs.push_back({std::move(text), part, std::move(what)});
  return fmt::format("b{}", blobs.size() - 1);
}

std::string toHtml(Report report, uint64_t budget) {
  std::string html(page[0]), scripts;
  for (size_t i = 2; i < numPageFiles; ++i)
    scripts += page[i];
  replaceOnce(html, "/*STYLE*/", page[1]);
  replaceOnce(html, "/*SCRIPT*/", scripts);
  std::vector<std::string> coded;
  uint64_t size = html.size() + safeJson(report.data).size();
  for (const Report::Blob &blob : report.blobs) {
    coded.push_back(toBase64(deflate(blob.text)));
    size += coded.back().size() + kBlobTag.size() + kEndTag.size() + 16;
  }
  report.data["left_out"] = leaveOut(report, coded, size, budget);
  html += std::string(kDataTag) + safeJson(report.data) + std::string(kEndTag);
  for (size_t i = 0; i < coded.size(); ++i)
    if (!coded[i].empty())
      html += blobTag(i) + coded[i] + std::string(kEndTag);
  return html + "<script type=\"application/json\" id=\"hadal-end\">1" +
         std::string(kEndTag);
}

std::string toJson(const Report &report) {
  Json json;
  json["report"] = report.data;
  json["report"]["left_out"] = Json::array();
  json["blobs"] = Json::object();
  for (size_t i = 0; i < report.blobs.size(); ++i)
    json["blobs"][fmt::format("b{}", i)] = report.blobs[i].text;
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

StatusOr<std::string> extractJson(const std::string &html,
                                  const std::string &path) {
  auto contentAt = [&](size_t at, std::string_view tag) {
    const size_t begin = at + tag.size();
    const size_t end = html.find(kEndTag, begin);
    return std::string_view(html).substr(begin, end == html.npos ? html.npos
                                                                 : end - begin);
  };
  const size_t at = html.find(kDataTag);
  if (at == html.npos)
    return error(kCode, "'{}' is no report of hadal-report", path);
  Json json;
  json["report"] =
      Json::parse(contentAt(at, kDataTag), nullptr, /*allow_exceptions=*/false);
  if (json["report"].is_discarded())
    return error(kCode, "'{}' is cut off in its data; make it again", path);
  json["blobs"] = Json::object();
  for (size_t blob = html.find(kBlobTag, at); blob != html.npos;
       blob = html.find(kBlobTag, blob + 1)) {
    const std::string_view rest =
        std::string_view(html).substr(blob + kBlobTag.size());
    const std::string name(rest.substr(0, rest.find('"')));
    const std::string what = fmt::format("'{}': {}", path, name);
    HADAL_ASSIGN_OR_RETURN(
        std::string bytes,
        fromBase64(contentAt(blob, std::string(kBlobTag) + name + "\">"),
                   what));
    HADAL_ASSIGN_OR_RETURN(json["blobs"][name],
                           inflate(bytes, kMostBlobBytes, what));
  }
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

} // namespace hadal::report
