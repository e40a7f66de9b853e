#!/bin/bash
# `java`, which takes the machine's memory and CPUs for its own: it asks the kernel and reads no /proc/meminfo. A variable of
# the environment could tell it more, but then it says on standard error that it has read one, each time.
read -r _ kibibytes _ < /proc/meminfo
limits=(-XX:MaxRAM="${kibibytes}k")
{ read -r online < /sys/devices/system/cpu/online; } 2> /dev/null
[[ $online =~ ^0(-([0-9]+))?$ ]] && limits+=(-XX:ActiveProcessorCount=$((BASH_REMATCH[2] + 1)))
IFS=:
for folder in $PATH; do
  [[ $folder/java -ef $0 ]] || [[ ! -x $folder/java ]] || exec -a java "$folder/java" "${limits[@]}" "$@"
done
echo 'java: command not found' >&2
exit 127
