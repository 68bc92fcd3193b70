# Finds MLIR/LLVM 22 (Debian packages, shared libraries) and TableGen.
find_package(MLIR REQUIRED CONFIG)
if(NOT LLVM_VERSION_MAJOR EQUAL 22)
  message(FATAL_ERROR "hadal needs MLIR/LLVM 22, found ${LLVM_VERSION}; "
    "tools/setup installs it")
endif()
list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
set(LLVM_RUNTIME_OUTPUT_INTDIR ${CMAKE_BINARY_DIR}/bin)
set(LLVM_LIBRARY_OUTPUT_INTDIR ${CMAKE_BINARY_DIR}/lib)
include(TableGen)
include(AddLLVM)
include(AddMLIR)

add_library(hadal_mlir_deps INTERFACE)
# LLVM_DEFINITIONS is one space-joined string and must be split before use.
separate_arguments(HADAL_LLVM_DEFS NATIVE_COMMAND "${LLVM_DEFINITIONS}")
target_compile_options(hadal_mlir_deps INTERFACE ${HADAL_LLVM_DEFS})
target_include_directories(hadal_mlir_deps SYSTEM INTERFACE
  ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
target_include_directories(hadal_mlir_deps INTERFACE
  ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
# Dylib only: mixing static MLIR archives with libMLIR.so duplicates TypeIDs.
target_link_libraries(hadal_mlir_deps INTERFACE MLIR LLVM)
