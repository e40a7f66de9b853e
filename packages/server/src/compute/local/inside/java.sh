#!/bin/bash
# Starts `java` with the memory and CPU limits of the sandbox. Java asks the kernel for those of the machine, and does not read
# /proc/meminfo. An environment variable could set them, but java reports on standard error each time that it has read one.
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
