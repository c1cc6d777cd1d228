# source <(tombolo completion bash)
_tombolo() {
  local line=${COMP_LINE:0:COMP_POINT} word
  local -a words
  read -ra words <<<"$line"
  # What is being typed is the last word; a space behind the last one begins another.
  [[ $line == *[[:space:]] ]] && words+=('')
  word=${words[-1]}
  mapfile -t COMPREPLY < <("${words[0]}" complete-words -- "${words[@]:1}" 2>/dev/null | cut -f 1)
  # Bash takes a colon for the end of a word: what is before it is there already.
  if [[ $word == *:* && $COMP_WORDBREAKS == *:* ]]; then
    COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*:}"}"}")
  fi
}
# Where there is nothing to say, files.
complete -o default -F _tombolo tombolo
