/*
 * What no attachment may hold, as YARA rules. A match is malware in the verdict, under
 * the rule's name.
 *
 * They are run over the whole file and over each entry of a ZIP, which covers Office
 * documents, since those are ZIPs. They read what lies open: streams that a PDF has
 * compressed are not unpacked.
 */

rule eicar_test_file
{
    meta:
        description = "The harmless file that stands for malware in tests"
        reference = "EICAR Anti-Malware Testfile: the 68 characters at the very start, after them only whitespace or Ctrl-Z, 128 bytes at most"
    strings:
        $eicar = /X5O!P%@AP\[4\\PZX54\(P\^\)7CC\)7\}\$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!\$H\+H\*[ \t\r\n\x1a]*/
    condition:
        filesize <= 128 and $eicar at 0 and !eicar[1] == filesize
}

rule portable_executable
{
    meta:
        description = "A Windows program, alone or hidden anywhere in another file: appended to a picture, carried in a document"
        reference = "Microsoft PE Format: the DOS stub's sentence stands 0x4e after MZ, the offset of the PE signature 0x3c after it"
    strings:
        $stub = "This program cannot be run in DOS mode"
    condition:
        (uint16(0) == 0x5a4d and uint32(uint32(0x3c)) == 0x00004550)
        or for any i in (1..#stub) : (
            uint16(@stub[i] - 0x4e) == 0x5a4d
            and uint32(@stub[i] - 0x4e + uint32(@stub[i] - 0x12)) == 0x00004550
        )
}

rule elf_executable
{
    meta:
        description = "A program or library of Linux and other Unix systems"
        reference = "System V ABI, ELF header: magic, class, byte order and version"
    condition:
        uint32be(0) == 0x7f454c46 and (uint8(4) == 1 or uint8(4) == 2)
        and (uint8(5) == 1 or uint8(5) == 2) and uint8(6) == 1
}

rule mach_o_executable
{
    meta:
        description = "A program or library of macOS or iOS, for one processor or several"
        reference = "Apple, mach-o/loader.h and mach-o/fat.h; a Java class shares the magic of the latter, and is no attachment either"
    condition:
        uint32be(0) == 0xfeedface or uint32be(0) == 0xfeedfacf
        or uint32be(0) == 0xcefaedfe or uint32be(0) == 0xcffaedfe
        or uint32be(0) == 0xcafebabe or uint32be(0) == 0xcafebabf
}

rule pdf_runs_script
{
    meta:
        description = "A PDF that runs JavaScript when it is opened"
        reference = "ISO 32000-1, 12.6.4.16 JavaScript actions, 7.7.2 OpenAction, 12.6.3 AA; readers take a header within the first 1024 bytes (Annex H)"
    strings:
        $header = "%PDF-"
        $open = "/OpenAction"
        $additional = /\/AA[ \t\r\n<\[]/
        $script = "/JavaScript"
        $short = /\/JS[ \t\r\n(<\[]/
    condition:
        $header in (0..1024) and ($open or $additional) and ($script or $short)
}

rule pdf_launches_program
{
    meta:
        description = "A PDF that starts a program"
        reference = "ISO 32000-1, 12.6.4.5 Launch actions"
    strings:
        $header = "%PDF-"
        $launch = /\/S[ \t\r\n]*\/Launch/
    condition:
        $header in (0..1024) and $launch
}

rule office_macro
{
    meta:
        description = "An Office document with Visual Basic macros, in the format of 2007 and later"
        reference = "MS-OFFMACRO2, 2.2.1: the part vbaProject.bin; a ZIP's names stand in the clear"
    strings:
        $project = "vbaProject.bin" nocase
    condition:
        uint32be(0) == 0x504b0304 and $project
}

rule office_macro_binary
{
    meta:
        description = "An Office document with Visual Basic macros, in the format of before 2007, or the part that holds them"
        reference = "MS-OVBA, 2.3.4.1: the stream _VBA_PROJECT of a compound file"
    strings:
        $project = "_VBA_PROJECT" wide
    condition:
        uint32be(0) == 0xd0cf11e0 and uint32be(4) == 0xa1b11ae1 and $project
}

rule rtf_opens_object
{
    meta:
        description = "A rich text document with an embedded object that is updated, that is run, when the document is opened"
        reference = "Rich Text Format Specification 1.9.1, objects: objupdate and objdata"
    strings:
        $update = "\\objupdate"
        $data = "\\objdata"
    condition:
        uint32be(0) == 0x7b5c7274 and all of them
}

rule svg_script
{
    meta:
        description = "A drawing that runs a script when a browser shows it"
        reference = "SVG 2, 15: script elements, event attributes and javascript: links"
    strings:
        $svg = /<svg[ \t\r\n>]/ nocase
        $page = /<html[ \t\r\n>]/ nocase
        $script = /<script[ \t\r\n>\/]/ nocase
        $event = /[ \t\r\n]on(load|begin|end|click|error|mouseover|focus)[ \t\r\n]*=/ nocase
        $link = /href[ \t\r\n]*=[ \t\r\n]*["'][ \t\r\n]*javascript:/ nocase
    condition:
        $svg in (0..4096) and not $page and ($script or $event or $link)
}
