# Nine C programs and libraries out of Debian's source packages, one derivation each, and `all`: one tree of what they installed.
#   nix-build demo.nix -A all --argstr sources DIR        (DIR: what scripts/demo-sources.mjs made)
#
#   zlib ──────────────> libpng          oniguruma ──> jq
#   zlib, bzip2 ───────> pcre2           lua
#   zlib, bzip2, xz ───> file            all <── everything
#
# The compiler is the host's own, let into the sandbox; the host's nix.conf needs
#   sandbox-paths = /bin=/usr/bin /usr /lib=/usr/lib /lib64=/usr/lib64 /etc/alternatives
# The tar balls are upstream's releases as Debian ships them (`.orig.tar`), without Debian's patches.
{
  sources,
  salt ? "0",
}:
let
  # Only what a package needs reaches its derivation, so a change to one source rebuilds that one and what is above it.
  manifest = builtins.fromJSON (builtins.readFile (/. + sources + "/sources.json"));

  # What every build starts with: the unpacked source as working directory, the dependencies' headers and libraries in
  # CPPFLAGS and LDFLAGS, run-time search paths so that the programs find their libraries in the store.
  prelude = ''
    set -e
    export CC=gcc CFLAGS="-O1 -std=gnu17 -w" CPPFLAGS= LDFLAGS="-Wl,-rpath,$out/lib"
    for d in $deps; do
      CPPFLAGS="$CPPFLAGS -I$d/include"; LDFLAGS="$LDFLAGS -L$d/lib -Wl,-rpath,$d/lib"
    done
    mkdir source; cd source; tar -xf $src --strip-components=1
    configure() { ./configure --prefix=$out --disable-static --disable-dependency-tracking "$@"; }
    j=-j''${NIX_BUILD_CORES:-1}
  '';

  compile =
    name:
    {
      deps ? [ ],
      script,
    }:
    let
      source = manifest.packages.${name};
    in
    derivation {
      name = "${name}-${source.version}";
      system = builtins.currentSystem;
      builder = "/bin/sh";
      args = [
        "-c"
        (prelude + script)
      ];
      src = builtins.path {
        path = /. + sources + "/${source.file}";
        name = source.file;
        recursive = false;
        sha256 = source.sha256;
      };
      PATH = "/usr/bin";
      inherit deps salt;
    };
in
rec {
  zlib = compile "zlib" {
    script = ''
      ./configure --prefix=$out; make $j
      make install; rm -f $out/lib/libz.a
    '';
  };

  bzip2 = compile "bzip2" {
    script = ''
      make $j CFLAGS="$CFLAGS -fPIC -D_FILE_OFFSET_BITS=64" libbz2.a bzip2 bzip2recover
      make install PREFIX=$out
    '';
  };

  xz = compile "xz-utils" {
    script = ''
      configure --disable-nls --disable-doc --disable-scripts --disable-lzmainfo --disable-xzdec --disable-lzmadec
      make $j; make install
    '';
  };

  lua = compile "lua5.4" {
    script = ''
      make $j linux MYCFLAGS="-std=gnu17"; make install INSTALL_TOP=$out INSTALL="install -p"
    '';
  };

  # Debian's tar ball has no ./configure; Oniguruma asks it for four sizes and a few headers only.
  oniguruma = compile "libonig" {
    script = ''
      cd src
      printf '#define %s\n' 'HAVE_ALLOCA_H 1' 'HAVE_SYS_TIME_H 1' 'HAVE_UNISTD_H 1' 'HAVE_STDINT_H 1' 'HAVE_SYS_TYPES_H 1' 'SIZEOF_INT 4' 'SIZEOF_LONG 8' \
        'SIZEOF_LONG_LONG 8' 'SIZEOF_VOIDP 8' 'PACKAGE "onig"' 'VERSION "6.9.8"' > config.h
      ls *.c | grep -v -e ^koi8.c -e ^mktable -e ^regpos -e _data | xargs -n 8 -P ''${NIX_BUILD_CORES:-1} gcc $CFLAGS -fPIC -DHAVE_CONFIG_H -I. -c
      mkdir -p $out/lib $out/include; cp oniguruma.h oniggnu.h $out/include
      gcc -shared -Wl,-soname,libonig.so.5 -o $out/lib/libonig.so.5 *.o; ln -s libonig.so.5 $out/lib/libonig.so
    '';
  };

  pcre2 = compile "pcre2" {
    deps = [
      zlib
      bzip2
    ];
    script = ''
      configure --enable-pcre2grep-libz --enable-pcre2grep-libbz2
      make $j; make install
    '';
  };

  libpng = compile "libpng1.6" {
    deps = [ zlib ];
    script = ''
      configure; make $j; make install
    '';
  };

  # No ./configure here either: glibc has every function jq asks for but pow10; version.h and builtin.inc are made as jq's
  # own makefile makes them.
  jq = compile "jq" {
    deps = [ oniguruma ];
    script = ''
      sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/"/' -e 's/$/\\n"/' src/builtin.jq > src/builtin.inc
      echo '#define JQ_VERSION "${manifest.packages.jq.version}"' > src/version.h
      have=$(grep -o 'HAVE_[A-Z0-9_]*' src/libm.h | grep -v POW10 | sed s/^/-D/)
      have="$have -DHAVE_ISATTY -DHAVE_STRPTIME -DHAVE_STRFTIME -DHAVE_TIMEGM -DHAVE_GMTIME_R -DHAVE_GMTIME
        -DHAVE_LOCALTIME_R -DHAVE_LOCALTIME -DHAVE_GETTIMEOFDAY -DHAVE_TM_TM_GMT_OFF -DHAVE___THREAD -DHAVE_ALLOCA_H
        -DHAVE_ALLOCA -DHAVE_LIBONIG -DIEEE_8087 -D_GNU_SOURCE"
      rm src/inject_errors.c
      printf '%s\n' src/*.c | xargs -n 6 -P ''${NIX_BUILD_CORES:-1} gcc -I. $CFLAGS $CPPFLAGS $have -c
      mkdir -p $out/bin; gcc -o $out/bin/jq *.o $LDFLAGS -lonig -lm
    '';
  };

  file = compile "file" {
    deps = [
      zlib
      bzip2
      xz
    ];
    script = ''
      configure --disable-libseccomp --enable-zlib --enable-bzlib --enable-xzlib
      make $j; make install
    '';
  };

  all = derivation {
    name = "demo-all";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    PATH = "/usr/bin";
    deps = [
      zlib
      bzip2
      xz
      lua
      oniguruma
      pcre2
      libpng
      jq
      file
    ];
    inherit salt;
    args = [
      "-c"
      ''
        set -e
        mkdir -p $out/bin $out/lib
        for d in $deps; do
          for f in $d/bin/* $d/lib/*.so*; do
            [ -e $f ] || continue
            f=''${f#$d/}; ln -s $d/$f $out/$f
          done
        done
      ''
    ];
  };
}
