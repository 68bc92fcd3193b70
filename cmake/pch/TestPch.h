// What the unit tests of the runtime include.
#pragma once
#include "cmake/pch/RuntimePch.h"

#include <fstream>
#include <random>

#include <gtest/gtest.h>
