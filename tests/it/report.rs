//! The report: what is in its files, and what must never be.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::RgbImage;
use ndarray::{Array2, array};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256Plus;
use serde_json::{Value, json};
use vmfmix::mixture::VonMisesFisherMixture;
use vmfmix::report::figures::Figure;
use vmfmix::report::{
    Comparison, Component, Item, MapKind, Report, ReportError, Section, Summary, figures, html,
    png, schema, schemas,
};

const HOSTILE: &str = "</script><script>alert('x')</script><img src=x onerror=alert(1)> \"quoted\" & \u{2028} {{ x }}";

/// A model without a fit: components along the first axes, with falling weights.
fn model(n_components: usize, dimension: usize) -> VonMisesFisherMixture {
    let total = (n_components * (n_components + 1) / 2) as f64;
    let weight = |k| (n_components - k) as f64 / total;
    serde_json::from_value(json!({
        "n_components": n_components,
        "dimension": dimension,
        "weights": (0..n_components).map(weight).collect::<Vec<_>>(),
        "mean_directions": (0..n_components)
            .map(|k| (0..dimension).map(|j| f64::from(u8::from(j == k))).collect::<Vec<_>>())
            .collect::<Vec<_>>(),
        "concentrations": vec![20.0; n_components],
        "convergence": {
            "converged": true,
            "n_iterations": 3,
            "log_likelihoods": [-2.0, -1.0, -0.5],
            "warnings": [],
        },
    }))
    .unwrap()
}

/// Noisy points around the first axes in turn, of any length.
fn points(n: usize, n_components: usize, dimension: usize) -> Array2<f32> {
    let mut rng = Xoshiro256Plus::seed_from_u64(3);
    Array2::from_shape_fn((n, dimension), |(i, j)| {
        let signal = if j == i % n_components { 2.0 } else { 0.0 };
        signal + rng.gen_range(-0.3..0.3)
    })
}

fn picture() -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image::RgbImage::from_pixel(200, 100, image::Rgb([200, 30, 30]))
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

fn items(n: usize, n_components: usize) -> Vec<Item> {
    let item = |i: usize| match i % 2 {
        0 => Item::text(format!("{HOSTILE} {i}")),
        _ => Item::image_bytes(format!("{i}.png"), picture()),
    };
    (0..n)
        .map(|i| item(i).labelled(format!("label {}", i % n_components)))
        .collect()
}

/// A report with everything in it: 4 components in 6 dimensions, 80 items, every fifth held out.
fn full_report() -> Report {
    let (model, points) = (model(4, 6), points(80, 4, 6));
    let captions = array![
        [0.0, 3.0, 0.0, 0.0, 0.0, 0.0_f32],
        [1.0, 0.0, 0.0, 0.0, 0.0, 0.1]
    ];
    let (test, train) = (0..80).partition(|i| i % 5 == 0);
    Report::builder(&model, points.view())
        .title(HOSTILE)
        .max_tsne(100)
        .items(items(80, 4))
        .split(train, test)
        .captions(
            vec![HOSTILE.to_owned(), "first".to_owned()],
            captions.view(),
        )
        .setting("seed", 42)
        .setting(HOSTILE, HOSTILE)
        .skipped(vec![("broken.jpg".to_owned(), HOSTILE.to_owned())])
        .build()
        .unwrap()
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

/// The page without plotly.js, which is not ours to judge.
fn own_page(report: &Report) -> String {
    let page = report.to_html().unwrap();
    let plotly = html::plotly_js().unwrap();
    assert_eq!(
        page.matches(plotly).count(),
        1,
        "plotly.js is embedded once"
    );
    page.replace(plotly, "")
}

#[test]
fn writes_every_file_whole() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/results");
    let report = full_report();
    report.write(&out).unwrap();
    report.write(&out).unwrap();
    let list = |folder: &Path| {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(
        list(&out),
        [
            "convergence_info.json",
            "convergence_plot.html",
            "convergence_plot.png",
            "evaluation_metrics.json",
            "model_parameters.json",
            "report.html",
            "report.json",
            "visualizations",
        ]
    );
    let figures = list(&out.join("visualizations"));
    for name in [
        "assignments",
        "bhattacharyya_distances",
        "calibration",
        "certainties",
        "component_parameters",
        "convergence_plot",
        "entropies",
        "hierarchy",
        "labels",
        "map_discriminant_2d",
        "map_discriminant_3d",
        "map_pca_2d",
        "map_pca_3d",
        "map_tsne_2d",
        "mean_directions_2d",
        "mean_directions_3d",
        "outlier_scores",
        "overview",
        "responsibilities",
        "similarity_matrix",
    ] {
        assert!(figures.contains(&format!("{name}.html")), "{name}");
        let is_drawn = figures.contains(&format!("{name}.png"));
        assert_eq!(is_drawn, name != "overview", "{name}");
    }
    assert!(figures.contains(&"plotly.min.js".to_owned()));
    assert!(
        fs::read_to_string(out.join("report.html"))
            .unwrap()
            .trim_end()
            .ends_with("</html>")
    );
}

#[test]
fn json_files_have_their_keys() {
    let folder = tempfile::tempdir().unwrap();
    let report = full_report();
    report.write(folder.path()).unwrap();

    let parameters = read(&folder.path().join("model_parameters.json"));
    for key in [
        "n_components",
        "dimension",
        "weights",
        "mean_directions",
        "concentrations",
    ] {
        assert!(parameters.get(key).is_some(), "{key}");
    }
    let back: VonMisesFisherMixture = serde_json::from_value(parameters).unwrap();
    assert_eq!(&back, report.model());

    let convergence = read(&folder.path().join("convergence_info.json"));
    assert_eq!(
        keys(&convergence),
        [
            "converged",
            "log_likelihoods",
            "n_iterations",
            "runs",
            "warnings"
        ]
    );
    let metrics = read(&folder.path().join("evaluation_metrics.json"));
    for key in [
        "train_log_likelihood",
        "test_log_likelihood",
        "bic",
        "aic",
        "silhouette",
        "nmi",
        "ari",
    ] {
        assert!(metrics[key].is_number(), "{key}");
    }
    assert_eq!(
        (&metrics["n_train"], &metrics["n_test"]),
        (&json!(64), &json!(16))
    );
}

#[test]
fn without_labels_or_held_out_items_the_metrics_say_so() {
    let (model, points) = (model(3, 5), points(30, 3, 5));
    let report = Report::builder(&model, points.view()).build().unwrap();
    let metrics: Value = serde_json::from_str(&report.evaluation_metrics_json().unwrap()).unwrap();
    assert!(metrics["test_log_likelihood"].is_null());
    assert!(metrics.get("nmi").is_none() && metrics.get("ari").is_none());
    assert!(report.summary().labels.is_none());
    assert_eq!(report.summary().items.names[7], "item 7");
}

#[test]
fn metrics_are_those_of_the_model() {
    let (model, points) = (model(3, 5), points(60, 3, 5));
    let report = Report::builder(&model, points.view()).build().unwrap();
    let evaluation = &report.summary().evaluation;
    close(
        evaluation.train_log_likelihood.unwrap(),
        model.score(points.view()).unwrap(),
    );
    close(evaluation.bic.unwrap(), model.bic(points.view()).unwrap());
    close(evaluation.aic.unwrap(), model.aic(points.view()).unwrap());
    let responsibilities = model.predict_proba(points.view()).unwrap();
    for component in &report.summary().components {
        close(
            component.expected_size,
            responsibilities.column(component.index).sum(),
        );
        assert_eq!(component.size, 20);
    }
}

#[test]
fn a_summary_survives_being_saved() {
    let report = full_report();
    let json = serde_json::to_string(report.summary()).unwrap();
    let back: Summary = serde_json::from_str(&json).unwrap();
    assert_eq!(&back, report.summary());
}

#[test]
fn components_are_described_by_captions_exemplars_and_labels() {
    let report = full_report();
    let components = &report.summary().components;
    assert_eq!(components[0].captions[0].text, "first");
    assert_eq!(components[1].captions[0].text, HOSTILE);
    for component in components {
        let k = component.index;
        assert_eq!(component.labels[0].label, format!("label {k}"));
        assert_eq!(component.labels[0].share, 1.0);
        assert!(
            component
                .exemplars
                .iter()
                .all(|exemplar| exemplar.item.row % 4 == k)
        );
        assert!(
            component
                .exemplars
                .is_sorted_by(|a, b| a.cosine >= b.cosine)
        );
        assert_eq!(component.exemplars.len(), 8);
        let pictured = component
            .exemplars
            .iter()
            .all(|exemplar| exemplar.item.thumbnail.is_some());
        assert_eq!(pictured, k % 2 == 1);
    }
    let evaluation = &report.summary().evaluation;
    assert_eq!((evaluation.nmi, evaluation.ari), (Some(1.0), Some(1.0)));
}

#[test]
fn hostile_text_stays_text() {
    let page = own_page(&full_report());
    assert!(!page.contains("<script>alert"));
    assert!(!page.contains("<img src=x"));
    assert!(!page.contains('\u{2028}') || !json_of(&page).contains('\u{2028}'));
    assert!(page.contains("&#60;/script&#62;"));
    let figures: Value = serde_json::from_str(json_of(&page)).unwrap();
    let traces = figures["map_pca_2d"]["data"].as_array().unwrap();
    assert!(
        traces
            .iter()
            .all(|trace| !trace["name"].as_str().unwrap().contains('<'))
    );
    let (_, items) = page.split_once("id=\"item-data\">").unwrap();
    let items: Value = serde_json::from_str(items.split_once("</script>").unwrap().0).unwrap();
    assert_eq!(items["items"]["names"][0], format!("{HOSTILE} 0"));
}

/// The JSON of the figures inside a page.
fn json_of(page: &str) -> &str {
    let (_, rest) = page.split_once("id=\"figure-data\">").unwrap();
    rest.split_once("</script>").unwrap().0
}

#[test]
fn pages_load_nothing_from_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let report = full_report();
    report.write(folder.path()).unwrap();
    let page = own_page(&report);
    assert!(!page.contains("http://") && !page.contains("https://"));
    assert!(page.contains("default-src &#39;none&#39;"));
    assert!(!page.contains("unsafe-eval") && !page.contains("<link"));
    assert_eq!(page.matches("<script").count(), 5);
    let images: Vec<&str> = page.split("<img ").skip(1).collect();
    assert!(!images.is_empty());
    assert!(
        images
            .iter()
            .all(|image| image.starts_with("data-thumbnail=\""))
    );

    let files = fs::read_dir(folder.path().join("visualizations")).unwrap();
    let pages = files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "html"));
    for path in pages {
        let page = fs::read_to_string(&path).unwrap();
        assert!(page.contains("<script src=\"plotly.min.js\">"), "{path:?}");
        assert!(!page.contains("://"), "{path:?}");
        assert!(page.len() < 1_000_000, "{path:?}");
    }
    let page = fs::read_to_string(folder.path().join("convergence_plot.html")).unwrap();
    assert!(page.contains("<script src=\"visualizations/plotly.min.js\">"));
}

#[test]
fn figures_show_the_numbers_of_the_summary() {
    let report = full_report();
    let summary = report.summary();
    let data = |figure: figures::Figure| -> Vec<Value> {
        let plot: Value = serde_json::from_str(&figure.plot.to_json()).unwrap();
        plot["data"].as_array().unwrap().clone()
    };
    let parameters = data(figures::component_parameters(summary));
    let of = |value: fn(&Component) -> f64| {
        json!(summary.components.iter().map(value).collect::<Vec<_>>())
    };
    assert_eq!(parameters[0]["y"], of(|c| c.weight));
    assert_eq!(parameters[1]["y"], of(|c| c.concentration));
    assert_eq!(parameters[2]["y"], of(|c| c.mean_resultant_length));
    assert_eq!(
        data(figures::assignments(summary))[0]["y"],
        of(|c| c.size as f64)
    );
    assert_eq!(
        data(figures::similarity_matrix(summary))[0]["z"],
        json!(summary.similarity.cosines)
    );
    assert_eq!(
        data(figures::convergence(summary))[0]["y"],
        json!(summary.convergence.log_likelihoods)
    );
    assert_eq!(
        data(figures::entropies(summary))[0]["y"],
        json!(summary.memberships.entropies.counts)
    );
    let table = summary.labels.as_ref().unwrap();
    assert_eq!(
        data(figures::labels(summary).unwrap())[0]["z"],
        json!(table.shares)
    );
    let map = data(figures::map_2d(summary, &summary.maps[0]));
    let drawn: usize = map
        .iter()
        .map(|trace| trace["x"].as_array().unwrap().len())
        .sum();
    assert_eq!(drawn, summary.n_items + summary.n_components());
    for (component, trace) in summary
        .components
        .iter()
        .zip(data(figures::mean_directions_2d(summary)))
    {
        assert_eq!(trace["x"], json!([component.direction[0]]));
        assert_eq!(trace["y"], json!([component.direction[1]]));
    }
}

#[test]
fn a_large_map_is_a_seeded_sample_and_says_so() {
    let (model, points) = (model(3, 5), points(900, 3, 5));
    let sampled = || {
        let builder = Report::builder(&model, points.view());
        builder
            .max_items(100)
            .max_points(60)
            .seed(7)
            .build()
            .unwrap()
    };
    let report = sampled();
    assert_eq!(report.summary().items.rows.len(), 100);
    assert!(
        report
            .summary()
            .maps
            .iter()
            .all(|map| map.items.len() == 60)
    );
    assert!(report.summary().items.rows.is_sorted());
    assert_eq!(report.summary(), sampled().summary());
    let page = own_page(&report);
    assert!(page.contains("60 of 900 items are drawn: a random sample of each component"));
    assert!(page.contains("It lists 100 of 900 items, a random sample of each component."));
}

#[test]
fn many_points_are_drawn_with_webgl_and_only_then_may_scripts_compile() {
    let (model, points) = (model(2, 3), points(3_001, 2, 3));
    let report = Report::builder(&model, points.view()).build().unwrap();
    let page = own_page(&report);
    assert!(page.contains("scattergl") && page.contains("unsafe-eval"));
}

fn drawn(figure: &Figure) -> RgbImage {
    let bytes = png::picture(figure).unwrap();
    let picture = image::load_from_memory_with_format(&bytes, image::ImageFormat::Png);
    picture.unwrap().to_rgb8()
}

/// The rows of a picture that have a pixel of this colour, `#rrggbb`.
fn rows_of(picture: &RgbImage, colour: &str) -> Vec<u32> {
    let byte = |at: usize| u8::from_str_radix(&colour[at..at + 2], 16).unwrap();
    let colour = image::Rgb([byte(1), byte(3), byte(5)]);
    let has = |y: &u32| (0..picture.width()).any(|x| *picture.get_pixel(x, *y) == colour);
    (0..picture.height()).filter(has).collect()
}

fn traces(figure: &Figure) -> Value {
    serde_json::from_str::<Value>(&figure.plot.to_json()).unwrap()["data"].take()
}

#[test]
fn every_figure_is_drawn_without_a_browser() {
    let report = full_report();
    let summary = report.summary();
    let comparison = Comparison::new("", [("a", summary.clone()), ("b", summary.clone())]).unwrap();
    let mut all = figures::all(summary);
    all.extend([
        figures::criteria(&comparison),
        figures::weights(&comparison),
    ]);
    all.push(figures::matching(&comparison, &comparison.agreements[0]));
    for figure in &all {
        let picture = drawn(figure);
        assert_eq!(picture.width(), if figure.is_wide { 1440 } else { 960 });
        let marks = |pixel: &&image::Rgb<u8>| pixel.0.iter().max() != pixel.0.iter().min();
        let n_marks = picture.pixels().filter(marks).count();
        assert!(n_marks > 500, "{}: {n_marks} coloured pixels", figure.id);
    }
    let one_by_one: Vec<_> = all.iter().map(|f| png::picture(f).unwrap()).collect();
    assert_eq!(
        png::pictures(&all.iter().collect::<Vec<_>>()).unwrap(),
        one_by_one
    );
}

#[test]
fn bars_of_a_picture_are_as_high_as_their_numbers() {
    let report = full_report();
    let figure = figures::assignments(report.summary());
    let (picture, bars) = (drawn(&figure), traces(&figure)[0].take());
    for (k, component) in report.summary().components.iter().enumerate() {
        let rows = rows_of(&picture, bars["marker"]["color"][k].as_str().unwrap());
        let all = rows_of(&picture, bars["marker"]["color"][0].as_str().unwrap());
        let ratio = component.size as f64 / report.summary().components[0].size as f64;
        let expected = ratio * all.len() as f64;
        assert!(
            (rows.len() as f64 - expected).abs() < 3.0,
            "{} {expected}",
            rows.len()
        );
        assert_eq!(rows.last(), all.last(), "all bars stand on the axis");
    }
}

#[test]
fn cells_of_a_picture_have_the_colours_of_their_numbers() {
    let report = full_report();
    let picture = drawn(&figures::similarity_matrix(report.summary()));
    let brightest = rows_of(&picture, "#fee825");
    let n = report.summary().n_components() as u32;
    let cell = (brightest.last().unwrap() - brightest[0]) / n;
    for row in 0..n {
        let y = brightest[0] + row * cell + cell / 2;
        let bright =
            (0..picture.width() - 130).filter(|&x| picture.get_pixel(x, y).0 == [254, 232, 37]);
        let bright = bright.count() as u32;
        assert!(
            bright > 0 && bright < 2 * cell + cell,
            "one cell of row {row} is alike"
        );
    }
}

#[test]
fn a_picture_in_space_shows_every_component_in_its_own_colour() {
    let report = full_report();
    let figure = figures::map_3d(report.summary(), &report.summary().maps[0]).unwrap();
    let picture = drawn(&figure);
    let centres = traces(&figure);
    for centre in &centres.as_array().unwrap()[report.summary().n_components()..] {
        let colour = centre["marker"]["color"].as_str().unwrap();
        assert!(!rows_of(&picture, colour).is_empty(), "{colour}");
    }
}

#[test]
fn a_plot_without_iterations_or_with_one_is_drawn_too() {
    let mut summary = full_report().summary().clone();
    for values in [
        vec![],
        vec![-3.0],
        vec![-3.0; 4],
        vec![f64::NEG_INFINITY, 1.0],
    ] {
        summary.convergence.log_likelihoods = values;
        drawn(&figures::convergence(&summary));
    }
}

#[test]
fn sparse_cases_make_a_report() {
    for (n, k, d) in [
        (1, 1, 2),
        (1, 1, 8),
        (2, 2, 2),
        (3, 2, 64),
        (40, 1, 3),
        (5, 4, 6),
        (90, 30, 32),
    ] {
        let (model, points) = (model(k, d), points(n, k, d));
        let report = Report::builder(&model, points.view()).build().unwrap();
        let page = own_page(&report);
        assert!(!page.contains("NaN"), "n {n} k {k} d {d}");
        assert_eq!(page.contains("data-figure=\"similarity_matrix\""), k > 1);
        let total: usize = report.summary().components.iter().map(|c| c.size).sum();
        assert_eq!(total, n);
    }
}

#[test]
fn texts_and_images_have_a_gap_on_the_page_and_in_json_and_others_have_none() {
    let report = full_report();
    let gap = report.summary().modality_gap.as_ref().unwrap();
    let sides = gap.sides.each_ref().map(|side| (&side.name[..], side.size));
    assert_eq!(sides, [("texts", 40), ("images", 40)]);
    let metrics: Value = serde_json::from_str(&report.evaluation_metrics_json().unwrap()).unwrap();
    assert_eq!(metrics["modality_gap"], json!(gap));
    let page = own_page(&report);
    assert!(page.contains("Texts against images") && page.contains("href=\"#gap\""));
    assert!(page.contains(&format!("<dd>{:.3}</dd>", gap.distance)));

    let (model, points) = (model(3, 5), points(30, 3, 5));
    let texts = (0..30).map(|i| Item::text(i.to_string()));
    let report = Report::builder(&model, points.view()).items(texts);
    let report = report.build().unwrap();
    assert_eq!(report.summary().modality_gap, None);
    assert!(!own_page(&report).contains("Texts against images"));
    assert!(
        !report
            .evaluation_metrics_json()
            .unwrap()
            .contains("modality")
    );
}

#[test]
fn of_a_model_fitted_before_nothing_is_said_that_needs_the_fitted_items() {
    let (model, points) = (model(3, 5), points(30, 3, 5));
    let builder = Report::builder(&model, points.view()).held_out();
    let report = builder.build().unwrap();
    let evaluation = &report.summary().evaluation;
    assert_eq!((evaluation.n_train, evaluation.n_test), (0, 30));
    let expected = model.score(points.view()).unwrap();
    assert!((evaluation.test_log_likelihood.unwrap() - expected).abs() < 1e-9);
    let absent = [
        evaluation.train_log_likelihood,
        evaluation.generalisation_gap,
        evaluation.bic,
        evaluation.aic,
    ];
    assert_eq!(absent, [None; 4]);
    let page = own_page(&report);
    assert!(page.contains("all items count as kept aside"));
    assert!(!page.contains("on fitted items") && !page.contains("Bayesian criterion"));
}

#[test]
fn an_unconverged_fit_with_warnings_says_so() {
    let report = full_report();
    let mut summary = report.summary().clone();
    summary.convergence.converged = false;
    summary.convergence.warnings = vec!["component 2 was <empty>".to_owned()];
    let page = own_page(&Report::from_summary(report.model().clone(), summary));
    assert!(page.contains("still improving when it stopped after 3 iterations"));
    assert!(page.contains("component 2 was &#60;empty&#62;"));
}

#[test]
fn refuses_what_does_not_fit_together() {
    let (model, points) = (model(3, 5), points(30, 3, 5));
    let message = |result: Result<Report, ReportError>| result.unwrap_err().to_string();
    let builder = || Report::builder(&model, points.view());
    assert_eq!(
        message(builder().items(items(2, 3)).build()),
        "2 items do not match 30 embedding rows; pass one item per row, in order"
    );
    assert_eq!(
        message(builder().split(vec![0, 30], vec![]).build()),
        "the split names row 30 but there are 30 rows; indices start at 0"
    );
    assert_eq!(
        message(builder().split(vec![], vec![1]).build()),
        "the split has no training row; pass the rows the model was fitted to"
    );
    assert_eq!(
        message(builder().captions(vec![], points.view()).build()),
        "0 captions do not match caption embeddings of shape (30, 5); \
         pass one row of 5 columns per caption"
    );
    let other = Array2::<f32>::ones((3, 4));
    assert_eq!(
        message(Report::builder(&model, other.view()).build()),
        "the embeddings have 4 columns but the model has dimension 5; \
         use the encoder the model was fitted with"
    );
    let none = Array2::<f32>::ones((0, 5));
    assert_eq!(
        message(Report::builder(&model, none.view()).build()),
        "there are no embeddings; pass at least one row"
    );
}

#[test]
fn a_bad_row_is_named_by_its_place_in_the_whole() {
    let model = model(3, 5);
    let mut points = points(9_000, 3, 5);
    points.row_mut(8_500).fill(0.0);
    let error = Report::builder(&model, points.view()).build().unwrap_err();
    assert!(error.to_string().contains("8500"), "{error}");
}

fn close(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-9 * b.abs().max(1.0), "{a} {b}");
}

#[test]
fn what_is_said_of_memberships_is_what_the_model_says() {
    let report = full_report();
    let (summary, points) = (report.summary(), points(80, 4, 6));
    let responsibilities = report.model().predict_proba(points.view()).unwrap();
    let order = &summary.similarity.components;
    for (row, &own) in summary.similarity.responsibilities.iter().zip(order) {
        let members: Vec<usize> = (0..80).filter(|i| i % 4 == own).collect();
        for (&mean, &other) in row.iter().zip(order) {
            let sum: f64 = members.iter().map(|&i| responsibilities[[i, other]]).sum();
            close(mean.unwrap(), sum / members.len() as f64);
        }
    }
    for (at, &row) in summary.items.rows.iter().enumerate() {
        let largest = responsibilities
            .row(row)
            .iter()
            .copied()
            .fold(0.0, f64::max);
        assert!((summary.items.responsibilities[at] - largest).abs() < 5.1e-5);
    }
    let scores = report.model().outlier_scores(points.view()).unwrap();
    let worst = summary.outliers.iter().map(|outlier| outlier.outlier_score);
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    worst.zip(sorted).for_each(|(a, b)| close(a, b));
    let counts = &summary.memberships.outlier_scores.counts;
    assert_eq!(counts.iter().sum::<usize>(), 80);
    assert_eq!(counts[19], scores.iter().filter(|s| **s >= 0.95).count());
}

#[test]
fn one_distribution_and_none_are_what_the_mixture_is_held_against() {
    let report = full_report();
    let (evaluation, points) = (&report.summary().evaluation, points(80, 4, 6));
    let held_out: Vec<usize> = (0..80).filter(|i| i % 5 == 0).collect();
    let rows = points.select(ndarray::Axis(0), &held_out);
    close(
        evaluation.single_log_likelihood,
        report.model().collapse().score(rows.view()).unwrap(),
    );
    // The area of the sphere in six dimensions is pi^3.
    close(
        evaluation.uniform_log_likelihood,
        -3.0 * std::f64::consts::PI.ln(),
    );
    assert!(evaluation.test_log_likelihood.unwrap() > evaluation.uniform_log_likelihood);
}

#[test]
fn maps_keep_what_they_say_they_keep() {
    let report = full_report();
    let maps = &report.summary().maps;
    let kinds: Vec<MapKind> = maps.iter().map(|map| map.kind).collect();
    assert_eq!(kinds, [MapKind::Pca, MapKind::Discriminant, MapKind::Tsne]);
    for map in maps {
        assert_eq!(map.items, (0..80).collect::<Vec<_>>());
        assert_eq!((map.x.len(), map.y.len()), (80, 80));
        assert_eq!(map.z.len(), if map.kind == MapKind::Tsne { 0 } else { 80 });
    }
    // Four directions at right angles span three axes, along which all their scatter lies.
    let sum: f64 = maps[1].explained_variance_ratio.iter().sum();
    assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    // On every map most items have a neighbour of their own component.
    for map in maps {
        let own = (0..80_usize).filter(|&i| {
            let distance = |j: usize| (map.x[i] - map.x[j]).hypot(map.y[i] - map.y[j]);
            let others = (0..80).filter(|&j| j != i);
            let nearest = others.min_by(|&a, &b| distance(a).total_cmp(&distance(b)));
            nearest.unwrap() % 4 == i % 4
        });
        assert!(own.count() > 60, "{:?}", map.kind);
    }
}

#[test]
fn near_duplicates_are_found_and_counted() {
    let (model, mut points) = (model(3, 5), points(30, 3, 5));
    let copy = points.row(4).to_owned() * 3.0_f32;
    points.row_mut(20).assign(&copy);
    let report = Report::builder(&model, points.view());
    let report = report.duplicate_cosine(0.99999).build().unwrap();
    let found = report.summary().duplicates.as_ref().unwrap();
    assert_eq!((found.n_compared, found.n_duplicates), (30, 1));
    let rows = found.pairs[0].items.each_ref().map(|item| item.row);
    assert_eq!(rows, [4, 20]);
    assert!(found.pairs[0].cosine > 0.99999 && found.pairs[0].cosine <= 1.0);
    assert!(own_page(&report).contains("1 is nearly the same as an earlier one"));
}

#[test]
fn words_of_one_component_describe_it() {
    let (model, points) = (model(3, 5), points(60, 3, 5));
    let animals = ["cat", "dog", "bird"];
    let texts = (0..60).map(|i| Item::text(format!("the {} number {i} is here", animals[i % 3])));
    let report = Report::builder(&model, points.view()).items(texts);
    let report = report.build().unwrap();
    for (component, animal) in report.summary().components.iter().zip(animals) {
        let terms: Vec<&str> = component.terms.iter().map(|t| &t.term[..]).collect();
        assert_eq!(terms, [animal]);
        assert_eq!(component.terms[0].count, 20);
    }
}

#[test]
fn equal_pictures_are_kept_once() {
    let report = full_report();
    assert_eq!(report.summary().thumbnails.len(), 1);
    let places = &report.summary().items.thumbnails;
    assert!((0..80).all(|row| places[row] == (row % 2 == 1).then_some(0)));
    assert_eq!(own_page(&report).matches("data:image/jpeg").count(), 1);
}

#[test]
fn sections_can_be_left_out() {
    let (model, points) = (model(3, 5), points(60, 3, 5));
    let builder = Report::builder(&model, points.view());
    let report = builder
        .without(Section::Map)
        .without(Section::Duplicates)
        .build()
        .unwrap();
    assert!(report.summary().maps.is_empty() && report.summary().duplicates.is_none());
    let page = own_page(&report);
    assert!(!page.contains("id=\"map\"") && !page.contains("id=\"duplicates\""));
    assert!(page.contains("id=\"items\""));
    let builder = Report::builder(&model, points.view());
    let report = builder.sections([Section::Components]).build().unwrap();
    let page = own_page(&report);
    assert!(page.contains("id=\"components\"") && !page.contains("id=\"items\""));
    assert!(!page.contains("data-height=\"") && !page.contains("data-show-component=\""));
}

#[test]
fn a_name_of_ten_thousand_characters_is_shortened() {
    let (model, points) = (model(2, 3), points(10, 2, 3));
    let items = (0..10).map(|i| Item::text(format!("{i} {}", "ä".repeat(10_000))));
    let report = Report::builder(&model, points.view()).items(items);
    let report = report.build().unwrap();
    let names = &report.summary().items.names;
    assert!(
        names
            .iter()
            .all(|name| name.chars().count() == 1001 && name.ends_with('…'))
    );
}

#[test]
fn every_json_file_follows_its_schema_and_the_schema_refuses_others() {
    let report = full_report();
    let comparison = Comparison::new(
        "two",
        [("a", report.summary()), ("b", report.summary())]
            .map(|(name, summary)| (name, summary.clone())),
    )
    .unwrap();
    let files = [
        ("report.json", report.to_json()),
        ("model_parameters.json", report.model_parameters_json()),
        ("convergence_info.json", report.convergence_info_json()),
        ("evaluation_metrics.json", report.evaluation_metrics_json()),
        ("comparison.json", comparison.to_json()),
    ];
    for (name, json) in files {
        let value: Value = serde_json::from_str(&json.unwrap()).unwrap();
        let schema = serde_json::to_value(schema(name).unwrap()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let faults: Vec<String> = validator
            .iter_errors(&value)
            .map(|e| e.to_string())
            .collect();
        assert!(faults.is_empty(), "{name}: {faults:?}");
        let described = schema["properties"].as_object().unwrap();
        for key in value.as_object().unwrap().keys() {
            assert!(
                described.contains_key(key),
                "{name}: {key} is not described"
            );
            let mut odd = value.clone();
            odd[key] = json!({"neither": "number nor list"});
            assert!(!validator.is_valid(&odd), "{name}: {key} may be anything");
        }
        for key in schema["required"].as_array().unwrap() {
            let mut without = value.clone();
            without
                .as_object_mut()
                .unwrap()
                .remove(key.as_str().unwrap());
            assert!(
                !validator.is_valid(&without),
                "{name}: {key} may be left out"
            );
        }
    }
    assert_eq!(schemas().count(), 6);
    assert!(schema("no_such_file.json").is_none());
}

#[test]
fn a_comparison_finds_split_and_merged_components() {
    let points = points(80, 4, 6);
    let names = || (0..80).map(|i| Item::vector(format!("v{i}")));
    let report = |k| {
        let model = model(k, 6);
        let report = Report::builder(&model, points.view()).items(names());
        report.build().unwrap().summary().clone()
    };
    let comparison =
        Comparison::new("four or two", [("four", report(4)), ("two", report(2))]).unwrap();
    let agreement = &comparison.agreements[0];
    assert_eq!((agreement.models, agreement.n_items), ([0, 1], 80));
    assert!(
        agreement
            .shares
            .iter()
            .all(|row| (row.iter().sum::<f64>() - 1.0).abs() < 1e-12)
    );
    assert_eq!(agreement.shares[0][0], 1.0);
    assert!(agreement.nmi > 0.3 && agreement.nmi < 1.0);
    let page = comparison.to_html().unwrap();
    assert!(page.contains("four against two") && page.contains("data-figure=\"matching_1\""));
    assert!(page.contains("★"));

    let other = points.slice(ndarray::s![..40, ..]);
    let model = model(4, 6);
    let other = Report::builder(&model, other).build().unwrap();
    let comparison =
        Comparison::new("", [("a", report(4)), ("b", other.summary().clone())]).unwrap();
    assert!(comparison.agreements.is_empty(), "they are of other items");
}
