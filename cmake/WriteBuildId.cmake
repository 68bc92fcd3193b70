# cmake -P WriteBuildId.cmake OUTPUT ARCHIVE...
# Writes the definition of hadal::codegenBuildId() into OUTPUT: a hash of the
# archives' contents. An OUTPUT that says the same already keeps its time.
math(EXPR last "${CMAKE_ARGC} - 1")
set(arguments)
foreach(i RANGE 3 ${last})
  list(APPEND arguments "${CMAKE_ARGV${i}}")
endforeach()
list(POP_FRONT arguments output)
if(NOT arguments)
  message(FATAL_ERROR "no archives given")
endif()
set(hashes "")
foreach(archive IN LISTS arguments)
  file(SHA256 "${archive}" hash)
  string(APPEND hashes "${hash}\n")
endforeach()
string(SHA256 id "${hashes}")
set(text "#include \"compiler/codegen/CompilerIdentity.h\"
const char *hadal::codegenBuildId() { return \"${id}\"; }
")
set(old "")
if(EXISTS "${output}")
  file(READ "${output}" old)
endif()
if(NOT old STREQUAL text)
  file(WRITE "${output}" "${text}")
endif()
