"""How the page looks: paper and ink by day, lamplight by night. Fonts are the system's own; none is fetched."""

from pathlib import Path

import gradio as gr

CSS = Path(__file__).with_name("theme.css")
_SANS = ["ui-sans-serif", "system-ui", "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "sans-serif"]
_MONO = ["ui-monospace", "monospace"]
_INK = gr.themes.Color(
    name="ink", c50="#faf9f6", c100="#f2f0ea", c200="#e5e1d8", c300="#cfc9bd", c400="#a39c8f", c500="#7a7468",
    c600="#5a554c", c700="#423e37", c800="#2a2824", c900="#1e1c19", c950="#151412",
)
_SEAL = gr.themes.Color(  # the red of a painter's seal
    name="seal", c50="#fdf3f1", c100="#fae3df", c200="#f4c8c0", c300="#eaa396", c400="#dc7566", c500="#c8503f",
    c600="#b03a2b", c700="#922e22", c800="#79291f", c900="#65271f", c950="#37110c",
)


def theme() -> gr.themes.Base:
    base = gr.themes.Base(primary_hue=_SEAL, secondary_hue=_INK, neutral_hue=_INK, font=_SANS, font_mono=_MONO)
    return base.set(
        body_background_fill="*neutral_50", body_background_fill_dark="*neutral_950",
        block_background_fill="#ffffff", block_background_fill_dark="*neutral_900",
        body_text_color_subdued="*neutral_500", body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_500", block_info_text_color_dark="*neutral_400",
        block_border_width="0px", block_shadow="none", block_label_text_weight="500",
        block_title_text_weight="500", block_title_text_size="*text_sm", block_info_text_size="*text_xs",
        input_background_fill="*neutral_50", input_background_fill_dark="*neutral_800",
        slider_color="*primary_600", slider_color_dark="*primary_500",
        button_primary_background_fill="*primary_600", button_primary_background_fill_hover="*primary_700",
        button_secondary_background_fill="transparent", button_secondary_background_fill_dark="transparent",
        button_secondary_border_color="*neutral_300", button_secondary_border_color_dark="*neutral_700",
        layout_gap="14px",
    )
