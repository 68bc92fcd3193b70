# cmake -DOUT=x.cpp -DNAME=hadal::page -DFILES="a;b" -P EmbedTexts.cmake: C++ that
# defines `const std::string_view NAME[]`, the texts of FILES in that order, and
# how many they are: `const size_t numNAMEFiles` with a capital.
string(REGEX REPLACE "::[A-Za-z]+$" "" namespace ${NAME})
string(REGEX REPLACE "^.*::" "" variable ${NAME})
string(SUBSTRING ${variable} 0 1 first)
string(TOUPPER ${first} first)
string(SUBSTRING ${variable} 1 -1 rest)
set(capital ${first}${rest})
list(LENGTH FILES count)
set(pieces "")
foreach(file ${FILES})
  file(READ ${file} text)
  string(FIND "${text}" ")EMBED\"" ends)
  if(NOT ends EQUAL -1)
    message(FATAL_ERROR "${file}: holds the end of a raw string")
  endif()
  string(APPEND pieces "    R\"EMBED(${text})EMBED\",\n")
endforeach()
file(WRITE ${OUT} "#include <cstddef>
#include <string_view>
namespace ${namespace} {
extern const std::string_view ${variable}[];
const std::string_view ${variable}[] = {
${pieces}};
extern const size_t num${capital}Files;
const size_t num${capital}Files = ${count};
} // namespace ${namespace}
")
