#!/bin/sh
# Makes the secrets of docker-compose.yml: one file each, in ./secrets or the folder named as argument.
#
# A file that exists is kept, so a second run changes nothing; delete one to have it made anew.
# Needs openssl 1.1.1 or later. Passwords start with a letter: nats-server would read one made of digits
# as a number.
set -eu
umask 077

folder=${1:-secrets}
mkdir -p "$folder"

# keep NAME COMMAND...: writes what the command prints to a file of that name, unless there is one.
# By way of another file: a half-written secret would be taken for whole.
keep() {
    name=$1
    shift
    if [ -s "$folder/$name" ]; then
        return 0
    fi
    "$@" > "$folder/$name.new"
    mv "$folder/$name.new" "$folder/$name"
}

password() {
    printf 'p%s\n' "$(openssl rand -hex 24)"
}

key() {
    openssl rand -hex 32
}

# URL of a service's own role; its password is in a file of its own, for the server.
database_url() {
    printf 'postgres://%s:%s@postgres:5432/rowcast\n' "$1" "$(cat "$folder/database-password-$1")"
}

# A pair of Ed25519 keys, written as an account's nkey: base32 of the kind, the 32 bytes of the key, and
# their checksum. In DER those 32 bytes come last. A seed's kind has two bytes, a public key's has one.
callout_seed() {
    openssl genpkey -algorithm ed25519 -outform DER | tail -c 32 | od -An -v -tu1 | nkey 144 0
}

callout_issuer() {
    seed=$(unseal "$(cat "$folder/callout-seed")")
    # The fixed head of an Ed25519 private key in DER, RFC 8410.
    printf "$(octal 48 46 2 1 0 48 5 6 3 43 101 112 4 34 4 32 $seed)" |
        openssl pkey -inform DER -pubout -outform DER | tail -c 32 | od -An -v -tu1 | nkey 0
}

# octal BYTE...: escapes for printf.
octal() {
    printf '\\%03o' "$@"
}

# nkey KIND...: bytes of a key on standard input, the nkey on standard output. CRC-16/XMODEM, low byte first.
nkey() {
    { echo "$@"; cat; } | awk '
        function xor(a, b,    bit, result) {
            for (bit = 1; bit < 65536; bit *= 2) {
                if (int(a / bit) % 2 != int(b / bit) % 2) result += bit
            }
            return result + 0
        }
        { for (i = 1; i <= NF; i++) byte[count++] = $i }
        END {
            for (i = 0; i < count; i++) {
                crc = xor(crc, byte[i] * 256)
                for (bit = 0; bit < 8; bit++) {
                    crc = crc >= 32768 ? xor(crc * 2 % 65536, 4129) : crc * 2
                }
            }
            byte[count++] = crc % 256
            byte[count++] = int(crc / 256)
            alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
            for (i = 0; i < count; i++) {
                held = held * 256 + byte[i]
                bits += 8
                while (bits >= 5) {
                    bits -= 5
                    unit = 2 ^ bits
                    text = text substr(alphabet, int(held / unit) + 1, 1)
                    held %= unit
                }
            }
            if (bits > 0) text = text substr(alphabet, held * 2 ^ (5 - bits) + 1, 1)
            print text
        }'
}

# unseal SEED: the 32 bytes of the key in a seed, as decimal numbers.
unseal() {
    printf '%s\n' "$1" | awk '{
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
        for (i = 1; i <= length($0); i++) {
            held = held * 32 + index(alphabet, substr($0, i, 1)) - 1
            bits += 5
            if (bits >= 8) {
                bits -= 8
                unit = 2 ^ bits
                # After the two bytes of the kind.
                if (++count > 2 && count <= 34) printf "%d ", int(held / unit)
                held %= unit
            }
        }
    }'
}

for user in sys task-api precheck capture consumer-group billing alerting capture-data consumer-group-data callout; do
    keep "nats-$user" password
done
for role in postgres task_api consumer_group billing alerting; do
    keep "database-password-$role" password
done
for role in task_api consumer_group billing alerting; do
    keep "database-url-$role" database_url "$role"
done
keep secret-key key
keep admin-token password
keep demo-source-password password
keep callout-seed callout_seed
keep callout-issuer callout_issuer

# Containers run as other users than the one who made the files; the folder keeps everybody else out.
chmod 0700 "$folder"
chmod 0444 "$folder"/*
