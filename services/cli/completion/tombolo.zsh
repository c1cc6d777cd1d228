#compdef tombolo
# source <(tombolo completion zsh), behind compinit; or as a file _tombolo in a folder of $fpath
_tombolo() {
  local line description
  local -a values
  while IFS=$'\t' read -r line description; do
    values+=("${line//:/\\:}${description:+:$description}")
  done < <("${words[1]}" complete-words -- "${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( ${#values} )); then
    _describe -t words tombolo values
  else
    _files
  fi
}
if [[ ${funcstack[1]} == _tombolo ]]; then
  _tombolo "$@"
else
  compdef _tombolo tombolo
fi
