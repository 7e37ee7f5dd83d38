// Derived by scripts/cold-start.mjs from the build graphs in test/dags: package definitions of GNU Guix 1.5.0 (in Debian's guix
// 1.5.0-1) and T2 SDE (rxrbln/t2sde 115094e56d3a), whose costs are nominal seconds of one core.
// held out, landmarks not used, all: 18444 packages, mean |ln error| 1.09, of one constant 1.28
// held out, landmarks not used, measured costs: 4407 packages, mean |ln error| 1.21, of one constant 1.44

/** Median seconds, and standard deviation of their logarithm, of the packages of a language. */
export const COLD_LANGUAGES: Readonly<Record<string, readonly [seconds: number, deviation: number]>> = {
  aspell: [2, 1.3],
  cl: [2.6, 0.89],
  ecl: [2.7, 0.98],
  elixir: [10, 1.6],
  emacs: [2.7, 0.94],
  font: [2.6, 1.1],
  ghc: [19, 0.46],
  gnome: [21, 1.4],
  go: [2.8, 0.9],
  java: [19, 0.47],
  julia: [2.7, 0.84],
  ocaml: [19, 1.1],
  perl: [2.5, 1],
  python: [4.9, 1.5],
  r: [5.3, 1.5],
  ruby: [2.9, 1],
  sbcl: [2.7, 0.95],
  texlive: [2.5, 0.75],
};

/** For all others: `ln seconds = intercept + slope * ln(1 + inputs beyond the usual ones)`, and how far off that is. */
export const COLD_SHAPE = {
  intercept: 0.99,
  slope: 0.73,
  deviation: 1.7,
  /** Of the landmarks below: classes a factor of two apart, and versions that differ. */
  landmarkDeviation: 0.7,
};

/** Families known to be large, in classes of seconds. */
export const COLD_LANDMARKS: readonly { readonly seconds: number; readonly names: string }[] = [
  {
    seconds: 60,
    names: 'coreutils curl glib gmp groff jemalloc libx11 ncurses pcre2 texinfo vala wget',
  },
  {
    seconds: 135,
    names:
      'bdb binutils gettext-minimal git git-minimal glibmm gn gnutls graphviz gtk+ harfbuzz icu4c ' +
      'imagemagick libaom libsass libunistring libxml2 python python-cryptography qpdf rav1e ' +
      'svt-av1 tcl util-linux x265 xorg-server',
  },
  {
    seconds: 300,
    names:
      'doxygen ffmpeg gdb ghostscript go gtk gtkmm lapack libclc libstdc++ libstdc++-boot0 ocaml ' +
      'openal openssl perl pipewire poppler python-numpy ruby spirv-llvm-translator spirv-tools ' +
      'valgrind',
  },
  {
    seconds: 670,
    names:
      'boost cmake cosmic-monitor cosmic-settings flightgear glibc inkscape julia kdepim-addons kea ' +
      'librsvg mold mono networkmanager-qt niri openblas openimageio protobuf pyqt6 qt3d qt63d ' +
      'qt6tools qtdeclarative qttools racket rccl rio samba scipy skia wasmer',
  },
  {
    seconds: 1500,
    names:
      '0ad akonadi arcticfox ardour atuin azahar ceres-solver cosmic-applets cosmic-initial-setup ' +
      'cosmic-launcher cosmic-osd cosmic-settings-daemon directx-shader-compiler dolphin-emu flang ' +
      'fresh-editor gdal ghc godot goose-cli hipsparselt icedtea imhex intel-media-driver kdenlive ' +
      'kdepim-runtime kismet kmymoney kvirc labplot lief linux linux-libre mapnik marble mesa ' +
      'messagelib mir mixxx mozjs mpich neochat nextcloud-client ngscopeclient obs-studio octave ' +
      'opencolorio opencv-python openjdk openscenegraph openvdb or-tools palemoon parqeye ' +
      'plasma-bigscreen plasma-desktop qemu qt5base qt6quick3d ratty rocsparse rust-analyzer rustfs ' +
      'scribus stellarium surfer tde-i18n virtualbox wine',
  },
  {
    seconds: 3300,
    names:
      'amarok calligra cling dart dcmtk firefox freecad gcc hiptensor kdevelop kwin kwin-x11 ' +
      'libgccjit lldb mariadb mlir onnxruntime opencascade opencv plasma-workspace pyside6 qt6base ' +
      'qt6declarative qtbase rocblas rocfft rocsolver rpcs3 rust rustc scummvm thunderbird vtk zed ' +
      'zeek',
  },
  {
    seconds: 8000,
    names:
      'clang clang-runtime digikam guile kicad krita llvm mame mercury mysql node nodejs ' +
      'nodejs-slim openvino python-pytorch python-torch pytorch rocm-llvm root webkitgtk',
  },
  {
    seconds: 20000,
    names: 'composable_kernel libreoffice webkitgtk41',
  },
  {
    seconds: 65000,
    names: 'chromium electron qt6webengine qtwebengine',
  },
];
