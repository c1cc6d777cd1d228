# tombolo completion fish | source
function __tombolo_words
    set -l words (commandline -opc)
    set -l found ($words[1] complete-words -- $words[2..] (commandline -ct) 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c tombolo -f -a '(__tombolo_words)'
