# One output of `mb` MiB that does not compress, the same bytes for the same salt, and a small derivation that reads it.
# The first MiB is packed random digits; each further one adds 1 to every byte, so nothing repeats within 256 MiB.
{
  mb ? 64,
  salt ? "0",
}:
rec {
  big = derivation {
    name = "big";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [
      "-c"
      ''
        set -e
        seed=$(printf %d 0x$(echo "$salt" | md5sum | cut -c 1-7))
        awk -v seed=$seed 'BEGIN { srand(seed); for (i = 0; i < 420000; i++) printf "%06x", rand() * 16777216 }' |
          gzip | tail -c +65 | head -c 1048576 > block
        [ $(wc -c < block) = 1048576 ]
        cat block > $out
        k=1
        while [ $k -lt $mb ]; do
          by=$((k % 256)); k=$((k + 1))
          if [ $by = 0 ]; then cat block; else
            tr '\000-\377' "$(printf '\\%03o-\\377\\000-\\%03o' $by $((by - 1)))" < block
          fi
        done >> $out
      ''
    ];
    mb = toString mb;
    inherit salt;
  };
  dependant = derivation {
    name = "big-dependant";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [
      "-c"
      "sha256sum < $big > $out"
    ];
    inherit big;
  };
}
