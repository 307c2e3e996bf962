# The estimator `trained`. It does not link libtorch, which takes hundreds of milliseconds to load: it opens the
# module libduet_torch.so when a network is first trained. Without the module it says what is missing.
find_package(ZLIB REQUIRED)
target_sources(duet_estimators PRIVATE idx.cpp trained.cpp trainer.cpp training_plan.cpp)
target_link_libraries(duet_estimators PRIVATE ZLIB::ZLIB ${CMAKE_DL_LIBS})
set_property(SOURCE trainer.cpp APPEND PROPERTY COMPILE_DEFINITIONS
  "DUET_MODULE_BUILD_DIRECTORY=\"${CMAKE_CURRENT_BINARY_DIR}\""
  "DUET_MODULE_INSTALL_DIRECTORY=\"${CMAKE_INSTALL_FULL_LIBDIR}/duet\"")

if(DUET_TORCH)
  find_package(Torch REQUIRED)
  find_package(OpenMP REQUIRED)  # what libtorch's threads are
  add_library(duet_torch MODULE torch_trainer.cpp training_plan.cpp)
  target_link_libraries(duet_torch
    PRIVATE duet::build duet::core duet::spaces ${TORCH_LIBRARIES} OpenMP::OpenMP_CXX)
  set_target_properties(duet_torch PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  add_dependencies(duet_estimators duet_torch)
  install(TARGETS duet_torch LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/duet)
endif()
