# The image made in AWS: an instance of the distribution's own AMI, provisioned, cleaned and checked as image.py does it.
# What is in the image is image.yaml's. How to run it: README.md.

packer {
  required_version = ">= 1.9"
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.2.8"
    }
  }
}

variable "region" {
  type = string
}

variable "package" {
  type        = string
  description = "whence-agent's .deb for the architecture"
}

variable "settings_file" {
  type        = string
  description = "the platform's agent.yaml"
}

variable "distribution" {
  type    = string
  default = ""
}

variable "architecture" {
  type    = string
  default = ""
}

variable "image_version" {
  type = string
}

# What the image is made from, for its statement: as git remote get-url origin, git rev-parse HEAD and git status --porcelain
# print it.
variable "repository" {
  type = string
}

variable "commit" {
  type = string
}

variable "changes" {
  type    = string
  default = ""
}

variable "builder_id" {
  type        = string
  default     = "urn:whence:attest"
  description = "the builder's id that the aggregator trusts"
}

variable "output" {
  type        = string
  default     = "build/ami"
  description = "the folder of the statement and its SBOMs"
}

# Settings of image.yaml to replace, by name.
variable "settings" {
  type    = map(any)
  default = {}
}

variable "subnet_id" {
  type    = string
  default = ""
}

variable "share_with" {
  type    = list(string)
  default = []
}

variable "copy_to" {
  type    = list(string)
  default = []
}

locals {
  image        = yamldecode(file("${path.root}/image.yaml"))
  distribution = var.distribution != "" ? var.distribution : local.image.default_distribution
  architecture = var.architecture != "" ? var.architecture : local.image.default_architecture
  chosen       = local.image.distributions[local.distribution]
  machine      = local.image.architectures[local.architecture]
  settings     = merge(local.image.settings, var.settings)
  kept         = concat(local.settings.sshd ? ["openssh-server"] : [], local.settings.unattended_upgrades ? ["unattended-upgrades"] : [])
  packages     = sort(distinct(concat(local.image.packages, local.chosen.packages, local.machine.packages, [local.chosen.kernel[local.architecture]], local.kept)))
  removed      = [for name in local.image.removed : name if !contains(local.kept, name)]
  name         = "${local.image.name}-${local.distribution}-${local.architecture}-${var.image_version}"
  built        = formatdate("YYYY-MM-DD'T'hh:mm:ss'Z'", timestamp())
  expires      = formatdate("YYYY-MM-DD'T'hh:mm:ss'Z'", timeadd(timestamp(), "${local.image.expires_after_days * 24}h"))
  tags = {
    Name           = local.name
    Version        = var.image_version
    CommitID       = var.commit
    BuildDate      = local.built
    ExpirationTime = local.expires
  }
}

source "amazon-ebs" "image" {
  region        = var.region
  instance_type = local.machine.machine_type
  subnet_id     = var.subnet_id
  ssh_username  = startswith(local.distribution, "ubuntu") ? "ubuntu" : "admin"

  ami_name         = local.name
  ami_users        = var.share_with
  ami_regions      = var.copy_to
  encrypt_boot     = local.settings.encrypted
  kms_key_id       = local.settings.kms_key_id
  ena_support      = true
  imds_support     = "v2.0"
  tags             = local.tags
  snapshot_tags    = local.tags
  run_tags         = local.tags
  run_volume_tags  = local.tags

  # The instance that makes the image, too, has version 2 of the metadata service only.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = 8
    delete_on_termination = true
  }

  source_ami_filter {
    filters = {
      name                = local.chosen.cloud_name
      architecture        = local.machine.ec2_name
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
    owners      = [local.chosen.owner]
    most_recent = true
  }
}

build {
  sources = ["source.amazon-ebs.image"]

  provisioner "shell" {
    inline = ["mkdir -p /tmp/whence-image"]
  }

  provisioner "file" {
    sources     = ["${path.root}/provision.sh", "${path.root}/clean.sh", "${path.root}/check.py", "${path.root}/files", "${path.root}/state.sh", "${path.root}/root_statement.py", "${path.root}/root_manifest.py", "${path.root}/root_packages.py", "${path.root}/sbom.py"]
    destination = "/tmp/whence-image/"
  }

  provisioner "file" {
    source      = var.package
    destination = "/tmp/whence-image/whence-agent.deb"
  }

  provisioner "file" {
    source      = var.settings_file
    destination = "/tmp/whence-image/agent.yaml"
  }

  provisioner "file" {
    content     = jsonencode({ url = "git:${var.repository}", revision = var.commit, author = "", status = var.changes })
    destination = "/tmp/whence-image/scm-source.json"
  }

  # In one session, since sshd goes. What Packer copied is cleaned away with its key, and a finding ends the build. The
  # programs of the statement are on /run, and a copy of scp, which the download needs, on a tmpfs: on no disk.
  provisioner "shell" {
    execute_command = "sudo env {{ .Vars }} sh -e '{{ .Path }}'"
    skip_clean      = true
    environment_vars = [
      "WHENCE_PACKAGES=${join(" ", local.packages)}",
      "WHENCE_REMOVED=${join(" ", local.removed)}",
      "WHENCE_ENABLED=${join(" ", local.image.enabled)}",
    ]
    inline = [
      "mkdir -p /run/whence-image",
      "cd /tmp/whence-image",
      "cp clean.sh check.py state.sh scm-source.json root_statement.py root_manifest.py root_packages.py sbom.py /run/whence-image/",
      "mount -t tmpfs -o mode=0755 whence-image /usr/games",
      "mkdir /usr/games/lib",
      "cp -L /usr/bin/scp /usr/games/lib/scp",
      "cp -L $(ldd /usr/bin/scp | sed -n 's/.*=> \\(\\/[^ ]*\\).*/\\1/p') /usr/games/lib/",
      "printf '#!/bin/sh\\nLD_LIBRARY_PATH=/usr/games/lib exec /usr/games/lib/scp \"$@\"\\n' >/usr/games/scp",
      "chmod 755 /usr/games/scp",
      "sh ./provision.sh /tmp/whence-image ./whence-agent.deb agent.yaml",
      "sh /run/whence-image/state.sh /run/whence-image origins",
      "cd /",
      "sh /run/whence-image/clean.sh",
      "python3 -IS /run/whence-image/check.py /",
      "sh /run/whence-image/state.sh /run/whence-image statement '${local.name}' '${var.builder_id}'",
    ]
  }

  provisioner "file" {
    direction   = "download"
    sources     = ["/run/whence-image/out/root.mtree", "/run/whence-image/out/sbom.cdx.json", "/run/whence-image/out/sbom.spdx.json", "/run/whence-image/out/statement.json"]
    destination = "${var.output}/"
  }

  # The ids of the AMIs, by region.
  post-processor "manifest" {
    output = "${var.output}/packer.json"
  }
}
