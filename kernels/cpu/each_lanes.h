// Vectors once per instruction set; every other group of kernels is written on top of them.
#pragma once

#include <algorithm>
#include <cmath>
#include <type_traits>

#define KERNELS "lanes.h"
#include "each_set.h"
